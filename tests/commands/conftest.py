"""A reply, and a console that is a terminal."""

import io
import os

import pytest

from magistral_mlx.commands.console import Console
from magistral_mlx.events import Ending, Reply, Stats


@pytest.fixture
def reply() -> Reply:
    """A complete reply with reasoning."""
    stats = Stats(prompt_tokens=9, reasoning_tokens=6, answer_tokens=3, decode_tokens_per_second=45.25)
    return Reply(reasoning="7 + 8 is 15", answer="It is 85.", ending=Ending.COMPLETE, stats=stats)


class _TerminalText(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> tuple[io.StringIO, io.StringIO]:
    """Standard output and standard error of the commands as two terminals, with colours on."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    out, err = _TerminalText(), _TerminalText()
    monkeypatch.setattr(Console, "standard", lambda: Console(out, err, os.environ))
    return out, err
