"""Code blocks of a Markdown file, each with the comment that stands above it."""

import re
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"(?:<!-- (?P<marker>[^\n]*?) -->\n)?```(?P<language>\w*)\n(?P<body>.*?)\n```", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block; `marker` is the comment right above its fence, None without one."""

    language: str
    marker: str | None
    body: str

    @property
    def lines(self) -> list[str]:
        """Its lines, without empty ones."""
        return [line for line in self.body.splitlines() if line.strip()]


def blocks_of(path: Path) -> list[Block]:
    """All fenced blocks of a file, in order."""
    text = path.read_text(encoding="utf-8")
    return [Block(match["language"], match["marker"], match["body"]) for match in _BLOCK.finditer(text)]
