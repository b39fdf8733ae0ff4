"""A hostile model, file name or error does nothing but show text, on every part of the screen."""

from pathlib import Path

from PIL import Image

from magistral_mlx.engine.protocol import Answer, EngineModel, Failed, Loading, Progress, Ready, Reasoning
from support.fake_engine import ScriptedEngine
from support.terminal_app import driven_app

_HOSTILE = (
    "\x1b]52;c;ZXZpbA==\x07 \x1b]0;title\x07 \x1b[2J \x9b31m \x1b[?1049l "
    "x [/] y [bold]z[/bold] [@click=app.quit]press[/] [THINK] [METAL] e" + "\u0301" * 10_000
)
_LITERAL = ("x [/] y [bold]z[/bold] [@click=app.quit]press[/] [THINK] [METAL] e",)


def written(svg: str) -> str:
    return svg.replace("&#160;", " ").replace("&#x27;", "'")


async def test_hostile_text_is_shown_everywhere_and_obeyed_nowhere(tmp_path: Path) -> None:
    name = "[bold]x[_] \x1b]0;evil\x07.png"
    Image.new("RGB", (8, 8)).save(tmp_path / name)
    model = EngineModel("[/]\x1b[2J", "/m", True, 100, "[red]\x9b", True)
    engine = ScriptedEngine(
        turns=[
            [Reasoning(_HOSTILE, 1), Answer(_HOSTILE, 1), Progress()],
            [Failed(_HOSTILE, _HOSTILE, log=_HOSTILE)],
        ],
        loading=(Loading(_HOSTILE, 1, 2), Ready(model)),
    )
    async with driven_app(engine=engine, size=(200, 60)) as app:
        assert "[/]␛[2J" in app.text_of("#header")
        app.screen.attach(str(tmp_path / name))
        await app.until(lambda: len(app.screen.verbs.tray.images) == 1)
        await app.until(lambda: "[bold]x[_] ␛]0;evil␇.png" in app.text_of("#attachments"))
        await app.type("[/] \x1b[31m [bold]")
        await app.until_phase("ready")
        await app.until(lambda: "[METAL]" in app.answer.plain_text)
        await app.type("again")
        await app.until_phase("failed")
        everything = [
            app.reasoning.plain_text,
            app.answer.plain_text,
            *(str(widget.render()) for widget in app.screen.query("PlainStatic")),
        ]
        for text in everything:
            assert not any((ord(mark) < 0x20 and mark != "\n") or 0x7F <= ord(mark) < 0xA0 for mark in text)
        for literal in _LITERAL:
            assert literal in app.answer.plain_text.replace("\n", "")
            assert literal in app.text_of("#failure")
        assert app.answer.plain_text.count("\u0301") == 8
        drawn = app.app.export_screenshot()
        assert "\x1b" not in drawn
        assert app.app.is_running
