"""Numbers on the command line: each function is an argparse `type` whose complaint says what is allowed."""

import argparse
import math
import re


def whole_number(text: str) -> int:
    """0, 1, 2, ..."""
    return _integer(text, least=0)


def natural_number(text: str) -> int:
    """1, 2, 3, ..."""
    return _integer(text, least=1)


def non_negative(text: str) -> float:
    """A finite number of at least 0."""
    value = _number(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is below 0")
    return value


def fraction(text: str) -> float:
    """A number above 0 and at most 1."""
    value = _number(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0 and at most 1")
    return value


def _integer(text: str, *, least: int) -> int:
    # int() also takes "1_000" and digits of other scripts; both read as slips here.
    if not re.fullmatch(r"[+-]?[0-9]+", text) or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
    return int(text)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value
