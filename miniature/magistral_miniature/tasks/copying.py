"""Find the earlier character that each digit, letter or word of the reasoning repeats.

Like `looking`, this teaches one attention head directly: before a token that repeats an earlier one, the
head must attend to the earlier one. The texts of a turn are "question", "thought" and "answer". A place is
the name of a text and the offset of a character.
"""

import re
from collections.abc import Iterator

__all__ = ["Copy", "copies"]

Place = tuple[str, int]
Copy = tuple[Place, Place]
"""(the token that repeats, the token that is repeated)."""

_HEADER = re.compile(r"(?:Add|Subtract|Difference) (\d{3}) [+-] (\d{3})\.")
_ORDERED = re.compile(r"(Keep|Swap) (\d{3}) - (\d{3}), \w+\.")
_ADDED = re.compile(r"(?:Ones|Tens|Hundreds): (\d) \+ (\d) \+ (\d) = (\d)(\d)")
_TAKEN = re.compile(r"(?:Ones|Tens|Hundreds): (\d) - (\d) - (\d) = (\d), borrow (\d)")
_RESULT = re.compile(r"So (?:minus |plus )?(\d+) is -?(\d+)\.")
_BEST = re.compile(r"^\d( [A-Z])( [a-z]+), best( [A-Z])( [a-z]+)", re.MULTILINE)
_CELL = re.compile(r"^\d,\d( \w+)( \w+)\?(?: \w+ \w+( yes| no))?", re.MULTILINE)
_BAR = re.compile(r"^\d( [A-Z])\?", re.MULTILINE)
_NUMBER = re.compile(r"\d+")


def copies(question: str, thought: str, answer: str) -> list[Copy]:
    """Return the repeated characters of a turn, in no order."""
    header = _HEADER.match(thought)
    if header:
        return list(_in_arithmetic(header, question, thought, answer))
    found = list(_of_targets(thought))
    if thought.startswith("Look for the "):
        found += _of_best(thought, answer)
    return found


def _span(text: str, match: re.Match[str], group: int) -> list[Place]:
    return [(text, place) for place in range(match.start(group), match.end(group))]


def _from_right(to: list[Place], source: list[Place]) -> Iterator[Copy]:
    """Pair digits from the right; digits that only fill up have no source."""
    yield from zip(reversed(to), reversed(source), strict=False)


def _in_arithmetic(header: re.Match[str], question: str, thought: str, answer: str) -> Iterator[Copy]:
    left, right = (_span("thought", header, group) for group in (1, 2))
    asked = list(_NUMBER.finditer(question))[:2]
    if len(asked) == 2:
        if int(asked[0][0]) != int(header[1]):
            asked.reverse()
        repeated = list(_NUMBER.finditer(answer))[:2]
        for to, number, again in zip((left, right), asked, repeated, strict=False):
            source = _span("question", number, 0)
            yield from _from_right(to, source)
            yield from zip(_span("answer", again, 0), source, strict=False)
    ordered = _ORDERED.search(thought)
    if ordered:
        compared = re.search(r"Compare (\d) . (\d), (\d) . (\d), (\d) . (\d):", thought)
        if compared:
            for place in range(3):
                yield ("thought", compared.start(2 * place + 1)), left[place]
                yield ("thought", compared.start(2 * place + 2)), right[place]
        if ordered[1] == "Swap":
            left, right = right, left
        upper, lower = (_span("thought", ordered, group) for group in (2, 3))
        yield from [*zip(upper, left, strict=True), *zip(lower, right, strict=True)]
        left, right = upper, lower
    lines = list((_TAKEN if ordered else _ADDED).finditer(thought))
    for place, line in enumerate(lines):
        yield ("thought", line.start(1)), left[2 - place]
        yield ("thought", line.start(2)), right[2 - place]
        for group in (4, 5):  # results depend on what was carried
            yield ("thought", line.start(group)), ("thought", line.start(3))
        if place:
            carried = lines[place - 1].start(5 if ordered else 4)
            yield ("thought", line.start(3)), ("thought", carried)
    if len(lines) < 3:
        return  # a thought that was cut short
    digits = [("thought", line.start(4 if ordered else 5)) for line in reversed(lines)]
    if not ordered:
        digits.insert(0, ("thought", lines[-1].start(4)))
    yield from _of_result(digits, thought, answer)


def _of_result(digits: list[Place], thought: str, answer: str) -> Iterator[Copy]:
    result = _RESULT.search(thought)
    if not result:
        return
    yield from zip(_span("thought", result, 1), digits, strict=True)
    short = _span("thought", result, 2)
    yield from _from_right(short, _span("thought", result, 1))
    bold = re.search(r"\*\*-?(\d+)\*\*", answer)
    if bold:
        yield from zip(_span("answer", bold, 1), short, strict=False)


def _of_targets(thought: str) -> Iterator[Copy]:
    """Yield the target of a count or of a bar, which every line repeats."""
    cells = list(_CELL.finditer(thought))
    start = re.match(r"Look for( \w+)( \w+)\.", thought)
    for before, line in zip([start, *cells], cells, strict=False) if start else ():
        for group in (1, 2):
            yield ("thought", line.start(group)), ("thought", before.start(group))
        if line[3]:  # the verdict depends on the colour that is looked for
            yield ("thought", line.start(3)), ("thought", line.start(1))
    bars = list(_BAR.finditer(thought))
    first = re.match(r"Look for( [A-Z])\.", thought)
    for before, line in zip([first, *bars], bars, strict=False) if first else ():
        yield ("thought", line.start(1)), ("thought", before.start(1))


def _of_best(thought: str, answer: str) -> Iterator[Copy]:
    """Yield the best bar so far: that of this line or that of the line before."""
    lines = list(_BEST.finditer(thought))
    for number, line in enumerate(lines):
        same = line[1] == line[3]
        before = line if same else lines[number - 1]
        for group in (3, 4):
            source = group - 2 if same else group
            yield ("thought", line.start(group)), ("thought", before.start(source))
    bold = re.search(r"bar is \*\*", answer)
    if bold and lines:
        yield ("answer", bold.end()), ("thought", lines[-1].start(3))
