"""Full-text search in one conversation: every word must occur, whole or as a part, in any order."""

from collections.abc import Iterator
from dataclasses import dataclass

from magistral_mlx.sessions.tree import Tree

_AROUND = 48
"""Characters shown before and after the first word that was found."""


@dataclass(frozen=True)
class Hit:
    """A conversation that holds the words."""

    id: str
    title: str
    where: str
    """"title", "question", "reasoning" or "answer": the place of the excerpt."""
    excerpt: str
    """One line around the first word; not sanitized for a screen."""
    turn: int
    """The turn of the excerpt; 0 for the title."""


def find_words(words: str, tree: Tree, *, title: str) -> Hit | None:
    """Return the best place of `words` in `tree`; None if a word is missing, or `words` is empty.

    Case does not matter. The first place with the most words wins.
    """
    wanted = words.casefold().split()
    if not wanted:
        return None
    best: tuple[int, Hit] | None = None
    missing = set(wanted)
    for turn, where, text in _places(tree, title):
        folded = text.casefold()
        here = [word for word in wanted if word in folded]
        missing -= set(here)
        if here and (best is None or len(here) > best[0]):
            best = len(here), Hit(tree.id, title, where, _excerpt(text, here[0]), turn)
    return best[1] if best and not missing else None


def _places(tree: Tree, title: str) -> Iterator[tuple[int, str, str]]:
    yield 0, "title", title
    for turn in tree.turns.values():
        yield turn.id, "question", turn.question
        yield turn.id, "answer", turn.answer
        yield turn.id, "reasoning", turn.reasoning


def _excerpt(text: str, word: str) -> str:
    # Folding may change lengths; `lower` finds the right place in nearly all texts.
    at = text.lower().find(word)
    at = text.casefold().find(word) if at < 0 else at
    start, end = max(0, at - _AROUND), at + len(word) + _AROUND
    shown = " ".join(text[start:end].split())
    return f"{'…' if start else ''}{shown}{'…' if end < len(text) else ''}"
