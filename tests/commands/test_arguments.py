"""Numbers on the command line."""

import argparse
from collections.abc import Callable

import pytest

from magistral_mlx.commands.arguments import fraction, natural_number, non_negative, whole_number


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (whole_number, "0", 0),
        (natural_number, "+17", 17),
        (non_negative, "0", 0.0),
        (non_negative, "1e-3", 0.001),
        (fraction, "1", 1.0),
    ],
)
def test_what_is_allowed_is_read(read: Callable[[str], float], text: str, value: float) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (whole_number, "-1"),
        (whole_number, "1.5"),
        (whole_number, "1_000"),
        (whole_number, "٣"),
        (whole_number, ""),
        (whole_number, "+-1"),
        (natural_number, "0"),
        (non_negative, "-0.1"),
        (non_negative, "nan"),
        (non_negative, "inf"),
        (non_negative, "hot"),
        (fraction, "0"),
        (fraction, "1.01"),
        (fraction, "nan"),
    ],
)
def test_what_is_not_allowed_is_refused_by_name(read: Callable[[str], float], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is"):
        read(text)
