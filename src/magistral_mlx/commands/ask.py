"""`magistral ask`: one question, its reasoning and its answer.

The answer goes to stdout; reasoning, progress and notes go to stderr, so that a pipe receives the answer
alone. With `--json` stdout holds one object (see `Reply.to_json`) and nothing is streamed. An answer that
was cut off or broke into a loop is printed as far as it came and named on stderr; the exit code is 0 then,
because the object or the note says it, and 1 only if the memory ran out.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from magistral_mlx.commands.arguments import fraction, natural_number, non_negative, whole_number
from magistral_mlx.commands.console import Console
from magistral_mlx.commands.streaming import follow, load_model
from magistral_mlx.errors import PromptError, UsageError
from magistral_mlx.events import Ending, Stats
from magistral_mlx.generation.options import Options
from magistral_mlx.machine.keep_awake import keep_awake
from magistral_mlx.memory.sizes import ADVISED_CONTEXT
from magistral_mlx.sanitize import sanitize_line

if TYPE_CHECKING:
    from PIL import Image

    from magistral_mlx.generation.structured.schema import AnswerSchema

SUMMARY = "ask one question and print the answer"

_ENDING_NOTES = {
    Ending.CUT_IN_REASONING: "Cut off while reasoning: there is no answer. Raise --max-tokens, or set "
    "--thinking-budget so that the answer gets its share.",
    Ending.CUT_IN_ANSWER: "The answer is cut off. Raise --max-tokens to get the rest.",
    Ending.STOPPED: "Stopped.",
    Ending.LOOP: "The model repeated itself and was stopped. Ask in other words or with another --seed.",
    Ending.TOOL_CALLS: "The model asks for a tool, and `magistral ask` offers none. Ask in other words.",
    Ending.OUT_OF_MEMORY: "The memory ran out; this is what was produced until then. Use fewer or smaller "
    "images or a shorter prompt, or close other programs.",
}
_MINIATURE_NOTE = (
    "No model is installed, so the bundled miniature answers; `magistral demo` says how to get the real one."
)
_LONG_CONTEXT_NOTE = (
    f"The context is longer than {ADVISED_CONTEXT:,} tokens, up to which the model's authors promise its "
    "quality. A shorter question may get a better answer."
)
_EXIT_CODES = {Ending.STOPPED: 130, Ending.OUT_OF_MEMORY: 1}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `magistral ask`."""
    add = parser.add_argument
    add("prompt", nargs="?", metavar="PROMPT", help="the question; `-` or nothing reads it from stdin")
    add("--image", action="append", default=[], metavar="P", help="an image: path or http(s) URL; repeatable")
    add("--model", metavar="M", help='"miniature", a converted folder, or the name of an installed model')
    add("--system", metavar="S", help="a system prompt; the model's reasoning prompt stays beside it")
    add("--no-thinking", action="store_true", help="answer without reasoning first")
    add("--thinking-budget", type=whole_number, metavar="N", help="close the reasoning after N tokens")
    add("--max-tokens", type=natural_number, metavar="N", help="at most N tokens of reasoning and answer")
    add(
        "--temperature",
        type=non_negative,
        default=Options.temperature,
        metavar="T",
        help=f"0 is greedy (default {Options.temperature})",
    )
    add(
        "--top-p",
        type=fraction,
        default=Options.top_p,
        metavar="P",
        help=f"nucleus sampling (default {Options.top_p})",
    )
    add("--seed", type=whole_number, metavar="N", help="makes the answer repeatable")
    add("--wire", action="store_true", help="keep the model from being swapped (a risk; see the README)")
    add(
        "--kv-bits",
        type=int,
        choices=(16, 8, 4),
        metavar="B",
        help="width of the KV cache: 16, 8 (half the memory) or 4 bits (default 16)",
    )
    add(
        "--schema",
        metavar="FILE",
        help="JSON schema that the answer must fulfil, or the schema itself; the reasoning stays free",
    )
    add("--hide-reasoning", action="store_true", help="do not stream the reasoning to stderr")
    add("--json", action="store_true", help="print one JSON object with reasoning, answer and figures")


def run(arguments: argparse.Namespace) -> int:
    """Ask and print; see the module's text for streams and exit codes."""
    if arguments.no_thinking and arguments.thinking_budget is not None:
        raise UsageError("--no-thinking contradicts --thinking-budget", "Leave one of them out.")
    console = Console.standard()
    question = _question(arguments.prompt)
    # Images are read before the slow load: a wrong path is reported at once.
    images = _images(arguments.image)
    schema = None if arguments.schema is None else _schema(arguments.schema)
    model = load_model(arguments.model, console=console, wire=arguments.wire)
    if model.is_miniature and arguments.model is None:
        console.note(_MINIATURE_NOTE)
    stream = model.stream(
        question,
        images=images,
        system=arguments.system,
        thinking=not arguments.no_thinking,
        thinking_budget=arguments.thinking_budget,
        max_tokens=arguments.max_tokens,
        temperature=arguments.temperature,
        top_p=arguments.top_p,
        seed=arguments.seed,
        kv_bits=arguments.kv_bits,
        schema=schema,
    )
    as_text = not arguments.json
    with keep_awake():
        reply = follow(
            stream, console=console, reasoning=as_text and not arguments.hide_reasoning, answer=as_text
        )
    if arguments.json:
        console.result(json.dumps(reply.to_json(model.name), ensure_ascii=False) + "\n")
    else:
        console.remark(_speed(reply.stats))
    if _context_tokens(reply.stats) > ADVISED_CONTEXT:
        console.note(_LONG_CONTEXT_NOTE)
    if reply.ending in _ENDING_NOTES:
        console.note(_ENDING_NOTES[reply.ending])
    return _EXIT_CODES.get(reply.ending, 0)


def _context_tokens(stats: Stats) -> int:
    return stats.prompt_tokens + stats.reasoning_tokens + stats.answer_tokens


def _question(prompt: str | None) -> str:
    if prompt is None and sys.stdin.isatty():
        raise UsageError("There is no question", 'Write it in quotes: magistral ask "What is 47 + 38?"')
    text = _standard_input() if prompt is None or prompt == "-" else prompt
    if not text.strip():
        raise PromptError("The question is empty", "Write a question as the argument or on stdin.")
    return text


def _standard_input() -> str:
    raw = sys.stdin.buffer.read()
    try:
        return raw.decode("utf-8").strip("\n")
    except UnicodeDecodeError as error:
        raise PromptError(
            f"The question on stdin is not UTF-8 text (byte {error.start})",
            "Pipe text; attach images with --image.",
        ) from error


def _images(sources: list[str]) -> "list[Image.Image]":
    from magistral_mlx.prompt.images import load_image

    return [load_image(source) for source in sources]


def _schema(given: str) -> "AnswerSchema":
    """Parse `given`: JSON text of a schema, or the path of a file that holds one."""
    from magistral_mlx.generation.structured.schema import AnswerSchema

    if given.lstrip().startswith("{"):
        return AnswerSchema.of(given)
    shown = sanitize_line(given)
    try:
        return AnswerSchema.of(Path(given).read_bytes())
    except (OSError, ValueError) as error:  # ValueError: an impossible path
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(
            f"{shown} cannot be read ({reason})",
            "Name a file with a JSON schema, or write the schema itself.",
        ) from error
    except UsageError as error:
        raise UsageError(f"{shown}: {error.problem}", error.remedy) from error


def _speed(stats: Stats) -> str:
    tokens = stats.reasoning_tokens + stats.answer_tokens
    return (
        f"{tokens} tokens at {stats.decode_tokens_per_second:.1f} tokens/s, "
        f"the first one after {stats.time_to_first_token:.2f} s"
    )
