"""Python functions as tools: describe them to the model, call them with its arguments, return the results.

The description comes from the signature, the type hints and the docstring. An error in a call (unknown name,
wrong arguments, an exception) becomes the call's result, and the model can correct itself.
"""

import inspect
import json
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard, cast

from magistral_mlx.errors import UsageError
from magistral_mlx.prompt.turns import CalledTool, ToolTurn, is_tool_name

if TYPE_CHECKING:
    from mistral_common.protocol.instruct.tool_calls import Tool
    from pydantic import BaseModel

    Described = Tool | Mapping[str, Any]

_LONGEST_RESULT = 100_000
"""Most characters of a result."""
_TAKEN = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True)
class PythonTool:
    """One function and its description."""

    function: Callable[..., object]
    name: str
    description: str
    arguments: "type[BaseModel]"
    """Checks the arguments of a call and turns them into the types of the signature."""

    def described(self) -> "Described":
        """The description as mistral-common and OpenAI write it."""
        schema = self.arguments.model_json_schema()
        function = {"name": self.name, "description": self.description, "parameters": schema}
        return {"type": "function", "function": function}

    def result(self, arguments: str) -> str:
        """Call the function with a JSON object as text; return its result or the error as text."""
        from pydantic import ValidationError

        try:
            checked = self.arguments.model_validate_json(arguments)
        except ValidationError as error:
            problems = error.errors(include_url=False, include_input=False)
            return _failure("; ".join(f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in problems))
        values = {name: getattr(checked, name) for name in type(checked).model_fields}
        try:
            return _as_text(self.function(**values))
        except Exception as error:  # noqa: BLE001 - the function is the caller's: any exception becomes its result
            return _failure(f"{type(error).__name__}: {error}")


def tool_of(function: Callable[..., object]) -> PythonTool:
    """Describe a function as a tool.

    Its name is the tool's; the docstring's first paragraph describes it, and a section "Args:" its
    parameters. Parameters without type hints take anything.

    Raises:
        UsageError: a function that can't be described: a lambda, one with *args or **kwargs, a coroutine,
            or with types that JSON doesn't know.
    """
    from pydantic import Field, create_model
    from pydantic.errors import PydanticUserError

    name = getattr(function, "__name__", "")
    if not is_tool_name(name):
        raise UsageError(f'"{name}" is no name for a tool', "Give a function with a plain name.")
    if inspect.iscoroutinefunction(function):
        raise UsageError(f"The tool {name} is a coroutine", "Give a plain function that calls it.")
    text = inspect.getdoc(function) or ""
    told = _told_of_parameters(text)
    try:
        hints = typing.get_type_hints(function)
    except (NameError, TypeError):
        hints = {}
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in _TAKEN:
            raise UsageError(f"The tool {name} takes {parameter}", "Give every parameter a name of its own.")
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        field = Field(default, description=told.get(parameter.name))
        fields[parameter.name] = (hints.get(parameter.name, Any), field)
    try:
        arguments = create_model(name, __config__={"extra": "forbid"}, **fields)
        arguments.model_json_schema()
    except (PydanticUserError, NameError) as error:
        raise UsageError(
            f"The parameters of {name} have no JSON schema ({str(error).splitlines()[0][:120]})",
            "Use types that JSON knows, and names without a leading underscore.",
        ) from error
    return PythonTool(function, name, text.partition("\n\n")[0].replace("\n", " "), arguments)


def described(tools: "Iterable[Described | Callable[..., object]]") -> "tuple[Described, ...]":
    """The descriptions of tools, some of which may be functions.

    Raises:
        UsageError: as `tool_of`.
    """
    return tuple(
        tool_of(tool).described() if _is_function(tool) else cast("Any", tool) for tool in each_tool(tools)
    )


def each_tool(tools: object) -> "tuple[Described | Callable[..., object], ...]":
    """The tools one by one; a single one needs no list around it.

    Raises:
        UsageError: `tools` is neither a tool nor several.
    """
    if _is_function(tools) or isinstance(tools, Mapping):
        return (cast("Any", tools),)
    if not isinstance(tools, Iterable) or isinstance(tools, str):
        raise UsageError(f"tools is of type {type(tools).__name__}", "Give a list of Python functions.")
    each: tuple[Any, ...] = tuple(cast("Any", tools))
    for tool in each:
        if isinstance(tool, str) or (callable(tool) and not _is_function(tool)):
            raise UsageError(
                f"A tool is of type {type(tool).__name__}", "Give Python functions, or their descriptions."
            )
    return each


def python_tools(tools: "Iterable[Described | Callable[..., object]]") -> dict[str, PythonTool]:
    """The functions among `tools`, by name.

    Raises:
        UsageError: as `tool_of`, or one that is no function, or two of one name.
    """
    found: dict[str, PythonTool] = {}
    for tool in each_tool(tools):
        if not _is_function(tool):
            raise UsageError(
                "Only Python functions can be run as tools", "Leave out run_tools, or the others."
            )
        made = tool_of(tool)
        if made.name in found:
            raise UsageError(f"Two tools are called {made.name}", "Rename one of them.")
        found[made.name] = made
    return found


def run(tools: Mapping[str, PythonTool], calls: Iterable[CalledTool]) -> tuple[ToolTurn, ...]:
    """The results of calls, in their order; on the calling thread."""
    return tuple(
        ToolTurn(call.name, tools[call.name].result(call.arguments))
        if call.name in tools
        else ToolTurn(call.name, _failure(f"there is no such tool; there are: {', '.join(tools)}"))
        for call in calls
    )


def _is_function(tool: object) -> "TypeGuard[Callable[..., object]]":
    return inspect.isroutine(tool)


def _told_of_parameters(text: str) -> dict[str, str]:
    """name -> description from the section "Args:" of a docstring in Google's style."""
    section = re.search(r"^Args:\n(.*?)(?:\n\S|\Z)", text, re.DOTALL | re.MULTILINE)
    if section is None:
        return {}
    entries = re.findall(r"^ {2,4}(\w+)(?: \([^)]*\))?: (.*(?:\n {5,}.*)*)", section[1], re.MULTILINE)
    return {name: " ".join(told.split()) for name, told in entries}


def _as_text(result: object) -> str:
    if isinstance(result, str):
        return result[:_LONGEST_RESULT]
    from pydantic import BaseModel

    value = result.model_dump(mode="json") if isinstance(result, BaseModel) else result
    return json.dumps(value, ensure_ascii=False, default=str)[:_LONGEST_RESULT]


def _failure(problem: str) -> str:
    return json.dumps({"error": problem[:2000]}, ensure_ascii=False)
