"""Every screen looks as it did when somebody looked at it; see `scenes` for how to look again."""

from pathlib import Path

import pytest

from support.scenes import DOCS, FOLDER, IN_DOCS, Take, images, own_place, takes

_REMEDY = "Look at it (cd tests; python -m support.scenes --png /tmp/look), then commit tests/tui/snapshots"


_IN_EVERY_RUN = (100, 30)
"""The size of screen that every run looks at; the other sizes are for thorough ones."""


@pytest.mark.parametrize(
    "take",
    [
        pytest.param(take, id=take.name, marks=[] if take.size == _IN_EVERY_RUN else pytest.mark.thorough)
        for take in takes()
    ],
)
async def test_the_screens_look_as_they_did(take: Take, tmp_path: Path) -> None:
    with own_place(tmp_path):
        made = await images(take)
    for name, svg in made.items():
        assert svg == (FOLDER / name).read_text(encoding="utf-8"), f"{name} differs. {_REMEDY}"


def test_no_image_is_left_over_and_the_docs_show_these() -> None:
    wanted = {name for take in takes() for name in take.file_names()}
    assert {file.name for file in FOLDER.glob("*")} == wanted
    for copy, original in IN_DOCS.items():
        assert (DOCS / copy).read_bytes() == (FOLDER / original).read_bytes()
