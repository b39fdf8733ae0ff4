"""docs/guide.md is run: every Python block, in order, on the bundled miniature."""

from pathlib import Path

import pytest

from support.markdown_blocks import blocks_of

_GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"


def test_python_blocks_run(capsys: pytest.CaptureFixture[str]) -> None:
    namespace: dict[str, object] = {"__name__": "guide"}
    said: list[str] = []
    for block in blocks_of(_GUIDE):
        assert block.language == "python"
        exec(compile(block.body, str(_GUIDE), "exec"), namespace)
        said.append(capsys.readouterr().out)
    first, shaped, tools, streamed, awaited, many, likely = said
    assert "85" in first
    assert "total=" in shaped
    assert "is_even=" in shaped
    assert tools.strip()
    assert "complete" in streamed
    assert awaited.count("85") == 2
    assert "85" in many
    assert likely.count("\n") == 3
