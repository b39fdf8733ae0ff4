"""The verbs behind the app and plain mode: what they say, what they give back."""

from pathlib import Path

import pytest
from PIL import Image

from magistral_mlx.engine.protocol import Answer, Reasoning
from magistral_mlx.events import Ending
from magistral_mlx_tui.conversation.endings import CAN_CONTINUE, ending_words
from magistral_mlx_tui.conversation.turns import Question
from magistral_mlx_tui.conversation.verbs import Verbs, obey
from support.controllers import ask, ready, until
from support.fake_engine import Stall


async def test_every_verb_says_what_it_cannot_do_before_the_first_question() -> None:
    controller, _engine = await ready()
    verbs = Verbs(controller, put_back=lambda _: None)
    nothing = {
        "stop": "Nothing is running.",
        "answer_now": "It is not thinking, and no reply was cut off.",
        "pause": "Nothing is running.",
        "continue": "Nothing to continue: the last reply is complete. /again retries.",
        "again": "There is no question to ask again.",
        "title": "There is no conversation yet.",
        "export": "There is nothing to export yet.",
        "remove_image": "No image is attached.",
    }
    assert {name: await obey(verbs.table[name], "") for name in nothing} == nothing
    assert "/thinking 500" in str(await obey(verbs.table["thinking"], "maybe"))
    await controller.close()


async def test_an_error_is_a_line_too() -> None:
    controller, _engine = await ready([Answer("one", 1)])
    verbs = Verbs(controller, put_back=lambda _: None)
    assert "There is no file /no/such.png" in str(await obey(verbs.table["image"], "/no/such.png"))
    assert await obey(verbs.table["resume"], "no such title")
    await ask(controller, "q")
    said = await obey(verbs.table["export"], "talk.docx")
    assert "docx" in str(said)
    await controller.close()


async def test_stop_gives_back_what_waited_with_its_images(tmp_path: Path) -> None:
    Image.new("RGB", (4, 3)).save(tmp_path / "a.png")
    back: list[Question] = []
    controller, _engine = await ready([Reasoning("hm", 1), Stall()])
    verbs = Verbs(controller, put_back=back.extend)
    controller.submit(Question("first"))
    await until(lambda: controller.turn is not None and bool(controller.turn.reasoning))
    await obey(verbs.table["image"], str(tmp_path / "a.png"))
    controller.submit(verbs.question("second"))
    assert verbs.tray.images == []
    assert await obey(verbs.table["stop"], "") == ""
    assert [(each.text, [image.name for image in each.images]) for each in back] == [("second", ["a.png"])]
    await controller.close()


@pytest.mark.parametrize("ending", [None, *Ending])
def test_an_ending_says_how_to_continue_only_where_that_works(ending: Ending | None) -> None:
    words = ending_words(ending, produced=True, continuing="F12 continues")
    assert bool(words) is (ending is not Ending.COMPLETE)
    if ending is not Ending.LOOP:
        assert ("F12 continues" in words) is (ending is None or ending in CAN_CONTINUE)
    assert "F12" not in ending_words(None, produced=False, continuing="F12 continues")
