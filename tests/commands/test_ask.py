"""`magistral ask`: streams, JSON, endings, stopping and wrong usage, on a scripted model."""

import io
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from magistral_mlx.commands import ask, main
from magistral_mlx.events import AnswerText, Ending, Event, Reply
from magistral_mlx.generation.structured.schema import AnswerSchema
from support.scripted_model import ScriptedModel

Ask = Callable[..., int]


@pytest.fixture
def model(reply: Reply, monkeypatch: pytest.MonkeyPatch) -> ScriptedModel:
    """The model that `magistral ask` loads."""
    scripted = ScriptedModel(reply)
    monkeypatch.setattr(ask, "load_model", lambda name, *, console, wire: scripted)
    return scripted


def _ask(*arguments: str) -> int:
    return main.dispatch(["ask", *arguments], commands={"ask": "magistral_mlx.commands.ask"})


def _main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(main, "installed_commands", lambda: {"ask": "magistral_mlx.commands.ask"})
    return main.main(["ask", *arguments])


def test_a_pipe_receives_the_answer_alone(model: ScriptedModel, capsys: pytest.CaptureFixture[str]) -> None:
    assert _ask("What is 47 + 38?") == 0
    printed = capsys.readouterr()
    assert printed.out == "It is 85.\n"
    assert printed.err == "7 + 8 is 15\n\n"


def test_a_context_beyond_what_the_authors_advise_is_told(
    reply: Reply, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    long = replace(reply, stats=replace(reply.stats, prompt_tokens=40_961))
    monkeypatch.setattr(ask, "load_model", lambda name, *, console, wire: ScriptedModel(long))
    assert _ask("hello") == 0
    assert "longer than 40,960 tokens" in capsys.readouterr().err


def test_hidden_reasoning_is_not_shown(model: ScriptedModel, capsys: pytest.CaptureFixture[str]) -> None:
    assert _ask("What is 47 + 38?", "--hide-reasoning") == 0
    assert capsys.readouterr() == ("It is 85.\n", "")


def test_json_is_one_object_with_the_contracts_names(
    model: ScriptedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _ask("What is 47 + 38?", "--json") == 0
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert list(told) == ["model", "reasoning", "answer", "ending", "stats"]
    assert (told["model"], told["ending"]) == ("scripted", "complete")
    assert told["reasoning"] == "7 + 8 is 15"
    assert told["stats"]["decode_tokens_per_second"] == 45.25
    assert printed.err == ""


def test_every_flag_reaches_the_model(model: ScriptedModel, tmp_path: Path) -> None:
    image = tmp_path / "one.png"
    Image.new("RGB", (28, 56), "red").save(image)
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "string"}')
    flags = f"--schema {schema} --system S --thinking-budget 5 --max-tokens 9"
    flags += " --temperature 0 --top-p 0.5 --seed 3 --kv-bits 8"
    assert _ask("hello", "--image", str(image), "--image", str(image), *flags.split()) == 0
    (text, options), *_ = model.questions
    images = options.pop("images")
    assert isinstance(images, list)
    assert [image.size for image in images] == [(28, 56), (28, 56)]
    assert text == "hello"
    assert options == {
        "schema": AnswerSchema('{"type": "string"}'),
        "system": "S",
        "thinking": True,
        "thinking_budget": 5,
        "max_tokens": 9,
        "temperature": 0.0,
        "top_p": 0.5,
        "seed": 3,
        "kv_bits": 8,
    }


def test_a_schema_may_stand_on_the_command_line(model: ScriptedModel) -> None:
    assert _ask("hello", "--schema", ' {"type": "string"}') == 0
    (_, options), *_ = model.questions
    assert options["schema"] == AnswerSchema('{"type": "string"}')


def test_the_question_can_come_on_stdin(model: ScriptedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in ([], ["-"]):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("What is é?\n".encode())))
        assert _ask(*arguments) == 0
    assert [text for text, _ in model.questions] == ["What is é?", "What is é?"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (
            ["hello", "--no-thinking", "--thinking-budget", "5"],
            2,
            "--no-thinking contradicts",
        ),
        (["hello", "--max-tokens", "0"], 2, "--max-tokens"),
        (["hello", "--temperature", "-1"], 2, "--temperature"),
        (["hello", "--top-p", "2"], 2, "--top-p"),
        (["hello", "--seed", "x"], 2, "--seed"),
        (["hello", "--kv-bits", "5"], 2, "--kv-bits"),
        (["hello", "world"], 2, "world"),
        (["hello", "--schema", "no/such.json"], 2, "no/such.json cannot be read"),
        (["hello", "--schema", "/"], 2, "cannot be read"),
        (["hello", "--schema", __file__], 2, "no JSON"),
        (["hello", "--schema", '{"type": "strin'], 2, "no JSON"),
        (["hello", "--schema", "[]\0"], 2, "cannot be read"),
        (["  "], 1, "empty"),
        (["hello", "--image", "no/such.png"], 1, "no/such.png"),
    ],
)
def test_bad_input_is_one_line_before_any_model_is_loaded(
    arguments: list[str],
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(ask, "load_model", lambda name, *, console, wire: pytest.fail("loaded"))
    assert _main(monkeypatch, *arguments) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert words in printed.err


def test_stdin_that_is_not_text_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"ok \xff")))
    assert _main(monkeypatch, "-") == 1
    assert "byte 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("ending", "code", "words"),
    [
        (Ending.CUT_IN_REASONING, 0, "--thinking-budget"),
        (Ending.CUT_IN_ANSWER, 0, "--max-tokens"),
        (Ending.LOOP, 0, "--seed"),
        (Ending.TOOL_CALLS, 0, "tool"),
        (Ending.STOPPED, 130, "Stopped"),
        (Ending.OUT_OF_MEMORY, 1, "memory"),
    ],
)
def test_every_other_ending_is_told_with_what_to_do(
    ending: Ending, code: int, words: str, model: ScriptedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    model.reply = replace(model.reply, ending=ending)
    assert _ask("hello") == code
    printed = capsys.readouterr()
    assert printed.out == "It is 85.\n"
    assert words in printed.err.splitlines()[-1]


@pytest.mark.parametrize("as_json", [False, True])
def test_ctrl_c_stops_and_keeps_what_was_said(
    as_json: bool, model: ScriptedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, AnswerText) and event.text == "8":
            os.kill(os.getpid(), signal.SIGINT)

    model.on_event = interrupt
    before = signal.getsignal(signal.SIGINT)
    assert _ask("hello", *["--json"] * as_json) == 130
    assert signal.getsignal(signal.SIGINT) is before
    out, err = capsys.readouterr()
    assert err.count("Stopping; press again to end at once\n") == 1
    if as_json:
        assert json.loads(out)["ending"] == "stopped"
        assert json.loads(out)["answer"] == "It is "
    else:
        assert out == "It is \n"


def test_a_second_ctrl_c_does_not_wait(
    model: ScriptedModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, AnswerText):
            handler = signal.getsignal(signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            while signal.getsignal(signal.SIGINT) is handler:  # two that wait at once count as one
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGINT)

    model.on_event = interrupt
    assert _main(monkeypatch, "hello") == 130
    assert capsys.readouterr().err.endswith("magistral: Stopped.\n")


def test_a_terminal_gets_progress_colour_and_no_foreign_commands(
    model: ScriptedModel, terminal: tuple[io.StringIO, io.StringIO]
) -> None:
    model.reply = replace(model.reply, answer="A\x1b[2JB", reasoning="hm")
    assert _ask("hello") == 0
    out, err = terminal
    assert out.getvalue() == "A␛[2JB\n"
    assert "Reading the question: 9 of 9 tokens" in err.getvalue()
    assert "\x1b[2mh\x1b[0m" in err.getvalue()


def test_the_figures_are_for_people_only(
    model: ScriptedModel, terminal: tuple[io.StringIO, io.StringIO]
) -> None:
    assert _ask("hello") == 0
    assert terminal[1].getvalue().endswith("9 tokens at 45.2 tokens/s, the first one after 0.00 s\n\x1b[0m")


def test_it_is_said_when_the_miniature_stands_in(
    model: ScriptedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    model.is_miniature = True
    _ask("hello", "--json", "--model", "miniature")
    assert "miniature" not in capsys.readouterr().err
    _ask("hello", "--json")
    assert "the bundled miniature answers" in capsys.readouterr().err


def test_no_color_is_respected(
    model: ScriptedModel, terminal: tuple[io.StringIO, io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert _ask("hello") == 0
    assert "\x1b[2m" not in terminal[1].getvalue()


def test_a_dumb_terminal_gets_no_control_characters(
    model: ScriptedModel, terminal: tuple[io.StringIO, io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert _ask("hello", "--hide-reasoning") == 0
    assert "\x1b" not in terminal[1].getvalue() + terminal[0].getvalue()
    assert "\r" not in terminal[1].getvalue()
