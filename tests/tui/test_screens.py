"""Every screen looks as it did when somebody looked at it; see `scenes` for how to look again."""

import pytest

from support.scenes import DOCS, FOLDER, IN_DOCS, Take, pictures, takes

_REMEDY = "Look at it (cd tests; python -m support.scenes --png /tmp/look), then commit tests/tui/pictures"


@pytest.mark.slow
@pytest.mark.parametrize("take", takes(), ids=lambda take: take.file_name("dark"))
async def test_the_screen_looks_as_it_did(take: Take) -> None:
    for name, svg in (await pictures(take)).items():
        assert svg == (FOLDER / name).read_text(encoding="utf-8"), f"{name} differs. {_REMEDY}"


def test_no_picture_is_left_over_and_the_docs_show_these() -> None:
    wanted = {take.file_name(theme) for take in takes() for theme in take.themes}
    assert {file.name for file in FOLDER.glob("*")} == wanted
    for copy, original in IN_DOCS.items():
        assert (DOCS / copy).read_bytes() == (FOLDER / original).read_bytes()
