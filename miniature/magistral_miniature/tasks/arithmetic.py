"""Sums and differences of whole numbers from 0 to 999, worked out digit by digit.

Numbers have three digits in the reasoning. Each later step therefore finds its digits at a fixed distance.
A sum of digits has two digits, and the first is the carry.
"""

import random
import zlib

from magistral_miniature.tasks.turns import Turn
from magistral_miniature.wordings.phrasing import Split, asks, phrase
from magistral_miniature.wordings.questions import QUESTIONS

__all__ = ["add_thought", "arithmetic", "is_held_out", "subtract_thought"]

_PLACES = ("Ones", "Tens", "Hundreds")


def is_held_out(left: int, right: int) -> bool:
    """Tell whether a pair of operands is kept for evaluation (one pair in ten)."""
    return zlib.crc32(f"{left},{right}".encode()) % 10 == 0


def _operands(rng: random.Random, split: Split) -> tuple[int, int]:
    def number() -> int:
        return rng.randint(0, rng.choice((20, 99, 99, 999, 999, 999, 999)))

    while True:
        pair = (number(), number())
        if is_held_out(*pair) is (split != "train"):
            return pair


def arithmetic(rng: random.Random, split: Split) -> Turn:
    """Return one question about two numbers, with its thought and answer."""
    left, right = _operands(rng, split)
    if rng.random() < 0.43:
        question = phrase(rng, QUESTIONS["add"], split, {"a": left, "b": right})
        answer = f"{left} + {right} = **{left + right}**"
        return Turn("add", question, add_thought(left, right), answer)
    if rng.random() < 0.6 and left < right:
        left, right = right, left
    kind = rng.random()
    if kind < 0.24:
        question = phrase(rng, QUESTIONS["difference"], split, {"a": left, "b": right})
        thought = subtract_thought(left, right, signed=False)
        answer = f"The difference between {left} and {right} is **{abs(left - right)}**"
        return Turn("difference", question, thought, answer)
    more_than = kind < 0.6 and left >= right and asks(QUESTIONS["more than"], split)
    wordings = QUESTIONS["more than" if more_than else "subtract"]
    question = phrase(rng, wordings, split, {"a": left, "b": right})
    answer = f"{left} - {right} = **{left - right}**"
    return Turn("subtract", question, subtract_thought(left, right, signed=True), answer)


def add_thought(left: int, right: int) -> str:
    """Write out an addition."""
    lines = [f"Add {left:03} + {right:03}."]
    carry = 0
    for place, name in enumerate(_PLACES):
        x, y = (number // 10**place % 10 for number in (left, right))
        total = x + y + carry
        lines.append(f"{name}: {x} + {y} + {carry} = {total:02}")
        carry = total // 10
    lines.append(f"So {left + right:04} is {left + right}.")
    return "\n".join(lines)


def subtract_thought(left: int, right: int, *, signed: bool) -> str:
    """Write out a subtraction: compare, put the larger number first, borrow where needed."""
    pairs = zip(f"{left:03}", f"{right:03}", strict=True)
    signs = ", ".join(f"{x} {'=' if x == y else '<' if x < y else '>'} {y}" for x, y in pairs)
    smaller = left < right
    verb = "Subtract" if signed else "Difference"
    lines = [f"{verb} {left:03} - {right:03}.", f"Compare {signs}: {'less' if smaller else 'not less'}."]
    high, low = (right, left) if smaller else (left, right)
    sign = "minus" if smaller and signed else "plus"
    lines.append(f"{'Swap' if smaller else 'Keep'} {high:03} - {low:03}, {sign}.")
    borrow = 0
    for place, name in enumerate(_PLACES):
        x, y = (number // 10**place % 10 for number in (high, low))
        digit = x - y - borrow
        next_borrow = int(digit < 0)
        lines.append(f"{name}: {x} - {y} - {borrow} = {digit % 10}, borrow {next_borrow}")
        borrow = next_borrow
    result = left - right if signed else abs(left - right)
    lines.append(f"So {sign} {high - low:03} is {result}.")
    return "\n".join(lines)
