"""Wordings put together from parts, so that no list has to hold every way of asking.

A grammar is a row of alternatives; one wording takes one alternative from each. Training draws from
them beside the lists of the `wordings_*` files; evaluation never does.
"""

import random

__all__ = ["ASK", "END", "TELL", "Grammars", "composed", "makes"]

Grammars = tuple[tuple[tuple[str, ...], ...], ...]

ASK = (
    *("", "", "", "", "Please ", "Can you ", "Could you ", "Could you please ", "Would you ", "Now "),
    *("I want you to ", "I'd like you to ", "I would like you to ", "You should ", "Try to ", "Kindly "),
)
TELL = (
    *("Tell me ", "Can you tell me ", "Could you tell me ", "Please tell me ", "I'd like to know "),
    *("I want to know ", "Let me know ", "Say ", "Can you say ", "Do you know ", "Please say "),
    *("I wonder ", "Could you say ", "Show me ", "Find out ", "Check ", "Work out ", "Figure out "),
)
END = ("", "", ".", ".", "?", " please", ", please.", " for me.", " now.")


def composed(rng: random.Random, grammars: Grammars) -> str:
    """Return one wording; longer grammars are not drawn more often than short ones."""
    return "".join(rng.choice(part) for part in rng.choice(grammars))


def makes(grammars: Grammars, wording: str) -> bool:
    """Tell whether a grammar puts `wording` together, whatever its first letter and its last mark."""
    first, bare = wording[0].lower() + wording[1:], wording.rstrip("?.")
    forms = {wording, first, bare, first.rstrip("?."), *(f"{bare}{mark}" for mark in "?.")}
    return any(_fits(grammar, form) for grammar in grammars for form in forms)


def _fits(parts: tuple[tuple[str, ...], ...], text: str) -> bool:
    if not parts:
        return not text
    return any(text.startswith(part) and _fits(parts[1:], text.removeprefix(part)) for part in set(parts[0]))
