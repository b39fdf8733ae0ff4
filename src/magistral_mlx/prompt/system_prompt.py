"""The system prompt that makes Magistral think: SYSTEM_PROMPT.txt as text, thought, text.

The file spells its thought between `[THINK]` and `[/THINK]`. Handed to the tokenizer as one string these
stay eight ordinary tokens and the model does not think; handed over in three parts the two become control
tokens, the form that Magistral was trained on (model card of Magistral-Small-2509).
"""

from dataclasses import dataclass

from magistral_mlx.errors import CheckpointError

_OPEN = "[THINK]"
_CLOSE = "[/THINK]"


@dataclass(frozen=True)
class ReasoningPrompt:
    """The three parts of the reasoning prompt, verbatim; `before` or `after` may be empty."""

    before: str
    thinking: str
    after: str

    @classmethod
    def parse(cls, text: str, *, file: str = "SYSTEM_PROMPT.txt") -> "ReasoningPrompt":
        """Splits the content of SYSTEM_PROMPT.txt at its one thought.

        Args:
            text: the whole file.
            file: how error messages name it.

        Raises:
            CheckpointError: there is not exactly one `[THINK]` followed by exactly one `[/THINK]`.
        """
        before, opened, rest = text.partition(_OPEN)
        thinking, closed, after = rest.partition(_CLOSE)
        marks = before + thinking + after
        if not opened or not closed or _OPEN in marks or _CLOSE in marks:
            raise CheckpointError(
                f"{file} has {text.count(_OPEN)} {_OPEN} and {text.count(_CLOSE)} {_CLOSE}"
                " where one of each, in this order, is needed",
                "Copy SYSTEM_PROMPT.txt from the original model into the folder, or convert the model again.",
            )
        return cls(before=before, thinking=thinking, after=after)

    @property
    def text(self) -> str:
        """The prompt as its file spells it."""
        return f"{self.before}{_OPEN}{self.thinking}{_CLOSE}{self.after}"
