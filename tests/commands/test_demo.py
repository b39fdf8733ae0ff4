"""`magistral demo`: what it shows, checks, counts and returns, on a model that answers as the test wants."""

import io
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from magistral_mlx.commands import demo, demo_view, main
from magistral_mlx.commands.demo_questions import DemoQuestion, draw_questions
from magistral_mlx.commands.demo_view import half_blocks
from magistral_mlx.events import AnswerText, Ending, Event, Reply, Stats
from magistral_mlx.storage import paths
from support.scripted_model import ScriptedModel, ScriptedStream

_SEED = 11
_QUESTIONS = draw_questions(random.Random(_SEED))
_STATS = Stats(
    reasoning_tokens=10,
    answer_tokens=5,
    decode_tokens_per_second=200.0,
    time_to_first_token=0.25,
    peak_memory_bytes=2**30,
)


class _Knowing(ScriptedModel):
    """Answers with the truth of the demo's own questions, as far as `says` lets it."""

    def __init__(self, says: Callable[[DemoQuestion], str]) -> None:
        super().__init__(Reply("", "", Ending.COMPLETE), name="miniature")
        self.says = says

    def stream(self, text: str, **options: object) -> ScriptedStream:
        question = next(question for question in _QUESTIONS if question.text == text)
        self.reply = Reply("I look.\nSo.", self.says(question), Ending.COMPLETE, _STATS)
        return super().stream(text, **options)


def _truth(question: DemoQuestion) -> str:
    return f"It is **{question.truth}**."


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[_Knowing], None]:
    """Make the demo load a model of the test."""

    def install(model: _Knowing) -> None:
        monkeypatch.setattr(demo, "load_model", lambda name, *, console: model)

    return install


def _demo() -> int:
    return main.dispatch(["demo", "--seed", str(_SEED)], commands={"demo": "magistral_mlx.commands.demo"})


def test_right_answers_are_counted_and_the_way_on_is_shown(
    use: Callable[[_Knowing], None], capsys: pytest.CaptureFixture[str]
) -> None:
    model = _Knowing(_truth)
    use(model)
    assert _demo() == 0
    printed = capsys.readouterr()
    assert "9 of 9 right." in printed.out
    assert "135 tokens generated at 200 tokens/s, the first one after 0.25 s" in printed.out
    assert "Peak memory 1.0 GiB" in printed.out
    assert "magistral convert mistralai/Magistral-Small-2509 --to" in printed.out
    assert "\x1b" not in printed.out
    assert printed.err == ""
    assert all(options["temperature"] == 0.0 for _, options in model.questions)


def test_every_question_shows_reasoning_answer_and_image(
    use: Callable[[_Knowing], None], capsys: pytest.CaptureFixture[str]
) -> None:
    use(_Knowing(_truth))
    _demo()
    printed = capsys.readouterr().out
    folder = paths.data_directory() / "demo" / f"seed-{_SEED}"
    for question in _QUESTIONS:
        assert f"{question.title}: {question.text}" in printed
        assert f"     It is **{question.truth}**.\n   Right: {question.truth}." in printed
    assert "   Reasoning:\n     I look.\n     So.\n   Answer:\n" in printed
    for name in ("grid.png", "barchart.png"):
        assert f"Image: {folder / name}" in printed
        with Image.open(folder / name) as image:
            assert image.width % 28 == 0


def test_wrong_answers_are_called_wrong(
    use: Callable[[_Knowing], None], capsys: pytest.CaptureFixture[str]
) -> None:
    use(_Knowing(lambda question: "It is **77777**." if question.title == "A sum" else _truth(question)))
    assert _demo() == 0
    printed = capsys.readouterr().out
    assert "8 of 9 right." in printed
    assert f"Wrong; right is {_QUESTIONS[0].truth}." in printed


def test_a_broken_model_fails_the_demo(
    use: Callable[[_Knowing], None], capsys: pytest.CaptureFixture[str]
) -> None:
    use(_Knowing(lambda question: "fish"))
    assert _demo() == 1
    assert "0 of 9 right." in capsys.readouterr().out


def test_an_answer_that_was_cut_off_is_not_right() -> None:
    reply = Reply("", _truth(_QUESTIONS[0]), Ending.CUT_IN_ANSWER)
    assert not demo.Outcome(_QUESTIONS[0], reply).right


def test_ctrl_c_ends_the_demo_after_what_was_said(
    use: Callable[[_Knowing], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, AnswerText) and len(model.questions) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    model = _Knowing(_truth)
    model.on_event = interrupt
    use(model)
    assert _demo() == 130
    printed = capsys.readouterr()
    assert "1 of 2 right." in printed.out
    assert printed.err.endswith("Stopped.\n")


def test_a_folder_that_cannot_be_written_is_told(
    use: Callable[[_Knowing], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(_Knowing(_truth))
    paths.data_directory().write_text("a file where the folder should be")
    monkeypatch.setattr(main, "installed_commands", lambda: {"demo": "magistral_mlx.commands.demo"})
    assert main.main(["demo"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "MAGISTRAL_MLX_HOME" in error


def test_a_wide_terminal_shows_columns_with_the_image_in_blocks(
    use: Callable[[_Knowing], None],
    terminal: tuple[io.StringIO, io.StringIO],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setenv("LINES", "50")
    use(_Knowing(lambda question: _truth(question) + " [red]\x1b[2J"))
    assert _demo() == 0
    shown = terminal[0].getvalue()
    heading = next(line for line in shown.splitlines() if "Image" in line)
    assert heading.index("Image") < heading.index("Reasoning") < heading.index("Answer")
    assert "▀" in shown
    assert f"\x1b[1m\n1. A sum: {_QUESTIONS[0].text}\x1b[0m\n" in shown
    assert "[red]␛[2J" in shown
    assert "\x1b[2J" not in shown


def test_a_narrow_terminal_gets_one_thing_after_the_other(
    use: Callable[[_Knowing], None],
    terminal: tuple[io.StringIO, io.StringIO],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", str(demo_view.WIDE - 1))
    use(_Knowing(_truth))
    assert _demo() == 0
    assert "   Reasoning:\n     I look." in terminal[0].getvalue()


def test_half_blocks_show_two_pixels_in_one_character(tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 8), (255, 0, 0))
    image.paste((0, 0, 255), (0, 4, 8, 8))
    image.save(tmp_path / "p.png")
    text = half_blocks(tmp_path / "p.png")
    assert text.plain == "▀▀"
    assert str(text.spans[0].style) == "#ff0000 on #0000ff"
