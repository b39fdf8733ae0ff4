"""A conversation as one JSON object, every branch in it, for programs."""

import json
from dataclasses import asdict

from magistral_mlx.sessions.library import title_of
from magistral_mlx.sessions.tree import Tree, Turn


def to_json(tree: Tree, *, reasoning: bool) -> str:
    """`turns` in the order of asking, `path`: ids of those that are shown; times are seconds since 1970."""
    whole = {
        "format": "magistral-mlx conversation",
        "version": 1,
        "id": tree.id,
        "title": title_of(tree),
        "began_at": tree.began_at,
        "path": [turn.id for turn in tree.path],
        "turns": [_turn(turn, reasoning=reasoning) for turn in tree.turns.values()],
    }
    return json.dumps(whole, ensure_ascii=False, indent=2, default=str) + "\n"


def _turn(turn: Turn, *, reasoning: bool) -> dict[str, object]:
    return {
        "id": turn.id,
        "parent": turn.parent or None,
        "asked_at": turn.at,
        "ended_at": turn.ended_at,
        "model": turn.model,
        "system": turn.system,
        "options": asdict(turn.options),
        "question": turn.question,
        "pictures": [asdict(picture) for picture in turn.pictures],
        **({"reasoning": turn.reasoning, "thinking_seconds": turn.thinking_seconds} if reasoning else {}),
        "answer": turn.answer,
        "ending": turn.ending.value if turn.ending else None,
        "stats": asdict(turn.stats),
    }
