"""A full disk costs nothing that was typed or generated: it is told, and written as soon as there is room."""

import subprocess
import sys
from pathlib import Path

import pytest

from magistral_mlx.sessions import unsent as drafts
from magistral_mlx.sessions.library import Library
from magistral_mlx.sessions.unsent import Draft, load_draft
from magistral_mlx_tui.conversation import recorder as keeping
from support.controllers import ready, until

_PATHS = [str(Path(__file__).parents[3] / folder) for folder in ("tests", "src", "tui")]
_PROGRAM = """
import asyncio, resource, sys
sys.path[:0] = PATHS
from magistral_mlx.engine.protocol import Answer, Reasoning
from support.controllers import ask, ready

async def main():
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    thought = "Let me think about this at some length. " * 200
    controller, _engine = await ready([Reasoning(thought, 900), Answer("one", 1)], [Answer("two", 1)])
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))  # a file that grows beyond is a full disk
    await ask(controller, "first")
    print(controller.recorder.trouble)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await ask(controller, "second")
    print(controller.recorder.trouble or "all is written")
    await controller.close()

asyncio.run(main())
"""


def test_a_conversation_outlives_a_file_system_that_takes_no_more() -> None:
    program = _PROGRAM.replace("PATHS", repr(_PATHS))
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    ).stdout.splitlines()
    assert "File too large" in told[0]
    assert told[1] == "all is written"
    library = Library()
    first, second = library.read(library.find("last")).path
    assert first.reasoning == "Let me think about this at some length. " * 200
    assert (first.answer, second.answer) == ("one", "two")


async def test_what_is_typed_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "_DRAFT_SECONDS", 0.001)
    monkeypatch.setattr(keeping, "_RETRY_SECONDS", 0.001)
    full = True
    save = drafts.save_draft

    def refuse(conversation: Path, draft: Draft) -> None:
        if full:
            raise OSError(28, "No space left on device")
        save(conversation, draft)

    monkeypatch.setattr(keeping, "save_draft", refuse)
    controller, _engine = await ready()
    recorder = controller.recorder
    recorder.keep_draft("half a quest", ())
    await until(lambda: "No space left on device" in recorder.trouble)
    full = False
    await until(lambda: recorder.trouble == "")
    assert load_draft(recorder.session.path).text == "half a quest"
    full = True
    recorder.keep_draft("more", ())
    await controller.close()  # no timer stays behind that would write into the next conversation
    full = False
    assert load_draft(recorder.session.path).text == "half a quest"
