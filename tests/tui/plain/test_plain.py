"""Line mode: golden transcripts on a scripted engine, pipes, Ctrl-C."""

import asyncio
import io
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from magistral_mlx.commands.console import Console
from magistral_mlx.engine.protocol import Answer, Failed, Loading, Prefill, Reasoning
from magistral_mlx.events import Ending
from magistral_mlx.sessions.library import Library
from magistral_mlx.sessions.unsent import load_draft
from magistral_mlx_tui.conversation.controller import Controller
from magistral_mlx_tui.plain.phrases import LONGEST, Phrases
from magistral_mlx_tui.plain.talk import Talk
from support.fake_engine import Die, Pause, ScriptedEngine, Stall, Step, done

_START = """loading: Starting the engine
loading: Reading the checkpoint
loading: Loading the weights
ready: miniature (demo model, not Magistral Small), 4096 tokens of context
"""


class Both(io.StringIO):
    """One of two streams that write into one transcript, as on a terminal."""

    def __init__(self, transcript: list[str]) -> None:
        super().__init__()
        self.transcript = transcript

    def write(self, text: str) -> int:
        self.transcript.append(text)
        return super().write(text)


async def talk(
    lines: str,
    *turns: Sequence[Step],
    engine: ScriptedEngine | None = None,
    interactive: bool = False,
    reasoning: bool = True,
    resume: str | None = None,
) -> tuple[str, str, int]:
    """The whole transcript, what of it is on stdout, and the exit code."""
    transcript: list[str] = []
    out = Both(transcript)
    console = Console(out, Both(transcript), {"TERM": "dumb"})
    controller = Controller(engine or ScriptedEngine(turns=turns))
    talking = Talk(
        controller, io.StringIO(lines), console, interactive=interactive, reasoning=reasoning, resume=resume
    )
    code = await asyncio.wait_for(talking.run(), 60)
    return "".join(transcript), out.getvalue(), code


async def test_two_questions_through_a_pipe() -> None:
    shown, out, code = await talk(
        "What is 7 + 5?\n\nand now?\n",
        [
            Prefill(0, 9),
            Reasoning("Units: 7 + 5", 4),
            Reasoning(" = 12. Done.", 4),
            Answer("It is **12**.", 5),
        ],
        [Answer("Yes.\nReally", 3), done("Yes.\nReally", ending=Ending.CUT_IN_ANSWER)],
    )
    assert shown == _START + (
        "question: What is 7 + 5?\n"
        "reading\n"
        "thinking\n"
        "Units: 7 + 5 = 12. Done.\n"
        "answer\n"
        "It is **12**.\n"
        "done: 13 tokens. Complete.\n"
        "question: and now?\n"
        "reading\n"
        "answer\n"
        "Yes.\nReally\n"
        "done: 3 tokens. Hit the token limit in the answer. /continue continues.\n"
    )
    assert out == "It is **12**.\nYes.\nReally\n"
    assert code == 0


async def test_the_reasoning_can_be_hidden_and_is_kept() -> None:
    shown, _out, _code = await talk("q\n", [Reasoning("secret.", 4), Answer("12", 1)], reasoning=False)
    assert "thinking\nanswer\n12\n" in shown
    assert "secret" not in shown
    library = Library()
    assert library.read(library.find("last")).path[0].reasoning == "secret."


async def test_commands_wait_for_what_was_asked_before_them(tmp_path: Path) -> None:
    Image.new("RGB", (4, 3)).save(tmp_path / "a b.png")
    target = tmp_path / "talk.md"
    lines = (
        "first\\\nsecond line\n/thinking off\n/again\n/branch\n/title Sums\n"
        f"/image {tmp_path}/a b.png\nthird\n/export {target}\n/layout\n/fly\n/sessions sums\n"
    )
    engine = ScriptedEngine(turns=[[Answer("one", 1)], [Answer("two", 1)], [Answer("three", 1)]])
    shown, _out, code = await talk(lines, engine=engine)
    assert code == 0
    assert [request.text for request in engine.requests] == ["first\nsecond line"] * 2 + ["third"]
    assert engine.requests[2].options.thinking is False
    assert len(engine.requests[2].images) == 1
    for words in (
        "question: first\nsecond line\n",
        "Thinking off · /thinking on turns it on\n",
        "Version 1 of 2: first second line\n",
        "Title: Sums\n",
        "Attached a b.png  4×3",
        f"Saved to {target}.\n",
        "/layout needs a screen.\n",
        "There is no command /fly; /help lists them all.\n",
        "  Sums\n",
    ):
        assert words in shown
    assert "one" in target.read_text()
    assert "two" not in target.read_text()


async def test_a_running_thought_is_steered_by_lines() -> None:
    shown, _out, _code = await talk(
        "q\n/answer-now\n/stop\n/continue\n/quit\nnever asked\n",
        [Reasoning("hm.", 1), Stall(), Answer("12", 1), Stall()],
    )
    assert "never asked" not in shown
    assert "\x1b" not in shown


async def test_what_was_asked_before_quit_is_answered_in_a_pipe() -> None:
    _shown, out, code = await talk(
        "one\ntwo\n/quit\nnever asked\n", [Answer("1.", 1)], [Reasoning("hm", 1), Answer("2.", 1)]
    )
    assert out == "1.\n2.\n"
    assert code == 0


async def test_what_a_person_typed_and_left_is_told_next_time() -> None:
    shown, _out, _code = await talk("one\ntwo\n/quit\n", [Stall()], interactive=True)
    assert "not asked: two\n" in shown
    shown, _out, _code = await talk("/quit\n", interactive=True, resume="last")
    assert "not asked: two\n" in shown
    shown, _out, _code = await talk("three\n", [Answer("3", 1)], interactive=True, resume="last")
    assert "not asked: two\n" in shown
    shown, _out, _code = await talk("/quit\n", interactive=True, resume="last")
    assert "not asked" not in shown


async def test_a_question_that_no_engine_took_is_told_next_time(tmp_path: Path) -> None:
    Image.new("RGB", (4, 3)).save(tmp_path / "a.png")
    loading = (Failed("No such model", "Install it.", engine_lost=True),)
    lines = f"/image {tmp_path}/a.png\nq\n"
    shown, _out, _code = await talk(lines, engine=ScriptedEngine(loading=loading), interactive=True)
    assert "not asked: q\n" in shown
    shown, _out, _code = await talk("/quit\n", interactive=True)
    assert "not asked: q\nattached: a.png" in shown


@pytest.mark.parametrize("lines", ["/pause\n/pause in tens\n", "/pause in tens\n"])
async def test_a_hint_that_comes_before_the_pause_is_given_all_the_same(lines: str) -> None:
    engine = ScriptedEngine(turns=[[Reasoning("hm.", 1), Pause(60), Answer("12", 1)]])
    _shown, out, code = await talk(f"q\n{lines}", engine=engine)
    assert engine.hints == ["\nin tens\n"]
    assert out == "12\n"
    assert code == 0


async def test_a_kept_conversation_goes_on() -> None:
    await talk("first\n/title Capitals\n", [Answer("one", 1)])
    engine = ScriptedEngine(turns=[[Answer("two", 1)]])
    shown, _out, code = await talk("second\n", engine=engine, resume="capitals")
    assert code == 0
    assert "\nOpened Capitals, 1 turn.\n" in shown
    assert [turn.question for turn in engine.opened[0][0]] == ["first"]
    assert shown.count("answer\n") == 1
    assert "question: first" not in shown


async def test_an_engine_that_dies_is_told_and_what_could_not_be_asked_too() -> None:
    shown, _out, code = await talk("one\ntwo\n", [Reasoning("hm.", 1), Die()])
    assert "Interrupted. Everything so far is kept. /continue continues, /again retries.\n" in shown
    assert (
        "failed: The engine stopped unexpectedly (killed by SIGKILL). /restart restarts the engine." in shown
    )
    assert shown.endswith("not asked: two\n")
    assert code == 1


async def test_a_restart_goes_on_where_it_died() -> None:
    engine = ScriptedEngine(turns=[[Reasoning("hm.", 1), Die()], [Answer("12", 1)]])
    shown, _out, code = await talk("one\n/title x\n/restart\n/again\n", engine=engine)
    assert "answer\n12\ndone: 1 token. Complete.\n" in shown
    assert code == 1


async def test_a_model_that_cannot_be_loaded_is_one_line_and_exit_code_1() -> None:
    loading = (Loading("Looking"), Failed("No such model", "Install it.", engine_lost=True))
    shown, _out, code = await talk("q\n", engine=ScriptedEngine(loading=loading))
    assert "failed: No such model. " in shown
    assert code == 1


async def test_a_person_is_asked_for_each_question_and_a_failure_is_not_the_end() -> None:
    shown, _out, code = await talk(
        "one\ntwo\n", [Failed("Too long", "Shorten it.")], [Answer("12", 1)], interactive=True
    )
    assert code == 0
    assert "failed: Too long. Shorten it.\n" in shown
    assert shown.count("your question:\n") >= 1


async def test_what_a_model_writes_is_never_obeyed() -> None:
    shown, out, _code = await talk("q\n", [Reasoning("\x1b[2J", 1), Answer("a\x1b]0;x\x07\u202eb", 1)])
    assert not any(ord(each) < 0x20 and each != "\n" for each in shown)
    assert out == "a␛]0;x␇\N{REPLACEMENT CHARACTER}b\n"


@given(st.lists(st.text(alphabet="ab .!?\n:\t,é", max_size=300), max_size=8))
def test_phrases_add_up_and_do_not_depend_on_the_cutting(pieces: list[str]) -> None:
    cut, whole = Phrases(), Phrases()
    by_pieces = [phrase for piece in pieces for phrase in cut.push(piece)] + cut.finish()
    at_once = whole.push("".join(pieces)) + whole.finish()
    assert by_pieces == at_once
    assert "".join(by_pieces) == "".join(pieces)
    assert all(len(phrase) <= LONGEST for phrase in by_pieces)


def test_a_sentence_is_given_out_when_it_is_complete() -> None:
    phrases = Phrases()
    assert phrases.push("One. Tw") == ["One. "]
    assert phrases.push("o\nthree") == ["Two\n"]
    assert phrases.finish() == ["three"]


_PROGRAM = """
import asyncio, sys
sys.path[:0] = PATHS
from support.fake_engine import ScriptedEngine, Stall
from magistral_mlx.commands.console import Console
from magistral_mlx.engine.protocol import Reasoning
from magistral_mlx_tui.conversation.controller import Controller
from magistral_mlx_tui.plain.talk import Talk
async def main():
    controller = Controller(ScriptedEngine(turns=[[Reasoning("Let me think.\\nAnd", 3), Stall()]]))
    console = Console(sys.stdout, sys.stderr, {})
    return await Talk(controller, sys.stdin, console, interactive=INTERACTIVE).run()
sys.exit(asyncio.run(main()))
"""
_PATHS = [str(Path(__file__).parents[3] / folder) for folder in ("tests", "src", "tui")]


def program(*, interactive: bool) -> "subprocess.Popen[str]":
    source = _PROGRAM.replace("PATHS", repr(_PATHS)).replace("INTERACTIVE", str(interactive))
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", source], stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def read_until(process: "subprocess.Popen[str]", wanted: str) -> str:
    assert process.stderr is not None
    read = ""
    while wanted not in read:
        line = process.stderr.readline()
        assert line, read
        read += line
    return read


@pytest.mark.parametrize("interactive", [False, True])
def test_ctrl_c_stops_the_answer_and_leaves_with_130(interactive: bool) -> None:
    with program(interactive=interactive) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write("q\n")
        process.stdin.flush()
        read_until(process, "thinking\n")
        os.kill(process.pid, signal.SIGINT)
        if interactive:
            assert "Let me think.\nAnd\n" in read_until(process, "Stopped.")
            read_until(process, "your question:")
            os.kill(process.pid, signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait() == 130
        assert "Traceback" not in rest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_keeps_all_that_was_typed_and_produced(number: signal.Signals) -> None:
    with program(interactive=True) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write("q\nnot yet asked\n")
        process.stdin.flush()
        read_until(process, "Let me think.\n")
        if number is signal.SIGHUP:
            process.stderr.close()  # the terminal is gone: nothing can be written any more
        os.kill(process.pid, number)
        assert process.wait() == 128 + number
    library = Library()
    assert library.read(library.find("last")).path[0].reasoning == "Let me think.\nAnd"
    draft = load_draft(library.directory / f"{library.find('last')}.jsonl")
    assert draft.text == "not yet asked"


async def test_a_closed_pipe_ends_it_and_everything_is_kept() -> None:
    class ClosedWhileSomethingWaits(io.StringIO):
        def write(self, text: str) -> int:
            if controller.queue:
                raise BrokenPipeError
            return super().write(text)

    steps: list[Step] = [step for _ in range(3000) for step in (Answer("12.\n", 1), Pause(0.01))]
    controller = Controller(ScriptedEngine(turns=[[*steps, Stall()]]))
    console = Console(ClosedWhileSomethingWaits(), io.StringIO(), {})
    talking = Talk(controller, io.StringIO("q\nr\n"), console, interactive=True)
    with pytest.raises(BrokenPipeError):
        await asyncio.wait_for(talking.run(), 60)
    library = Library()
    kept = library.read(library.find("last"))
    assert kept.path[0].answer.startswith("12.\n")
    assert load_draft(library.directory / f"{kept.id}.jsonl").text == "r"
