"""Defects for a log: where they happened, and none of the words that a person or a model wrote."""

import traceback


def describe(error: BaseException) -> str:
    """Return the traceback of an error and of its causes, without their messages.

    A message can quote a question, a schema or a part of an answer; types and places cannot.
    """
    parts: list[str] = []
    current: BaseException | None = error
    while current is not None and len(parts) < 10:
        places = "".join(traceback.format_tb(current.__traceback__))
        kind = type(current)
        parts.append(f"Traceback (most recent call last):\n{places}{kind.__module__}.{kind.__qualname__}\n")
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\nThe cause of:\n".join(reversed(parts))


def is_panic(error: BaseException) -> bool:
    """Tell whether a library in Rust panicked: that is no `Exception`, and its type cannot be imported."""
    return type(error).__name__ == "PanicException"
