"""Paths as people type them."""

from pathlib import Path

import pytest

from magistral_mlx.commands.main import main
from magistral_mlx.storage.paths import typed_path


def test_an_unknown_users_home_is_a_path_like_any_other() -> None:
    assert typed_path("~nobody-of-this-name/a.png") == Path("~nobody-of-this-name/a.png")
    assert typed_path("~/a.png") == Path.home() / "a.png"
    assert typed_path(Path("b/~")) == Path("b/~")


@pytest.mark.parametrize(
    "words",
    [
        ["ask", "hi", "--model", "~nobody-of-this-name/model"],
        ["models", "verify", "~nobody-of-this-name/model"],
        ["convert", "~nobody-of-this-name/source", "--to", "out"],
        ["convert", "miniature", "--to", "~nobody-of-this-name/out", "--bits", "9"],
    ],
)
def test_commands_say_what_is_wrong_with_it(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) in (1, 2)
    complaint = capsys.readouterr().err
    assert "Unexpected" not in complaint
    assert complaint.count("\n") == 1
