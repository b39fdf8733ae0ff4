"""Questions about a bar chart. The reasoning reads bars from left to right, in steps of equal length."""

import random

from magistral_miniature.tasks.grids import CANNOT_READ
from magistral_miniature.tasks.turns import Turn
from magistral_miniature.wordings.phrasing import BLIND, Split, phrase
from magistral_miniature.wordings.questions import QUESTIONS
from magistral_miniature.wordings.words import NUMBERS, ORDINALS, listed, plural
from magistral_mlx.miniature.images import COLOURS, LETTERS, SHAPES, BarChart

__all__ = [
    "chart_other",
    "count_bars",
    "describe_chart",
    "extreme_bar",
    "not_a_grid",
    "read_bar",
    "sentence",
]


def _opening(chart: BarChart) -> str:
    return f"Chart, {len(chart.labels)} bars."


def sentence(chart: BarChart) -> str:
    """Return the alt text of a chart: one sentence, from left to right."""
    bars = [f"{label} is {value}" for label, value in zip(chart.labels, chart.values, strict=True)]
    return f"A bar chart with {len(chart.labels)} bars: {listed(bars)}."


def describe_chart(rng: random.Random, chart: BarChart, split: Split) -> Turn:
    """Ask for the alt text of a chart."""
    general = rng.random() < 0.65 or split in BLIND
    question = phrase(rng, QUESTIONS["describe" if general else "describe chart"], split)
    thought = f"{_opening(chart)} Read it from left to right."
    return Turn("describe chart", question, thought, sentence(chart), direct=True)


def extreme_bar(rng: random.Random, chart: BarChart, split: Split) -> Turn:
    """Ask for the tallest or the shortest bar."""
    tallest = rng.random() < 0.5
    better = int.__gt__ if tallest else int.__lt__
    lines = [f"Look for the {'tallest' if tallest else 'shortest'}. {_opening(chart)}"]
    best = (chart.labels[0], chart.values[0])
    for number, bar in enumerate(zip(chart.labels, chart.values, strict=True), start=1):
        if better(bar[1], best[1]):
            best = bar
        lines.append(f"{number} {bar[0]} {NUMBERS[bar[1]]}, best {best[0]} {NUMBERS[best[1]]}")
    task = "tallest" if tallest else "shortest"
    question = phrase(rng, QUESTIONS[task], split)
    answer = f"The {task} bar is **{best[0]}**, with the value {best[1]}."
    return Turn(task, question, "\n".join(lines), answer)


def read_bar(rng: random.Random, chart: BarChart, split: Split) -> Turn:
    """Ask for the value of a bar by its letter; at times there is no such bar."""
    wanted = rng.choice(chart.labels if rng.random() < 0.92 else LETTERS)
    lines = [f"Look for {wanted}. {_opening(chart)}"]
    answer = f"There is no bar {wanted} in the chart."
    for number, (label, value) in enumerate(zip(chart.labels, chart.values, strict=True), start=1):
        found = label == wanted
        verdict = "yes" if found else "no"
        lines.append(f"{number} {wanted}? {label} {verdict} {NUMBERS[value]}")
        if found:
            answer = f"Bar {wanted} has the value **{value}**."
            break
    else:
        lines.append("End.")
    question = phrase(rng, QUESTIONS["value"], split, {"x": wanted})
    return Turn("value", question, "\n".join(lines), answer)


def count_bars(rng: random.Random, chart: BarChart, split: Split) -> Turn:
    """Ask for the number of bars."""
    question = phrase(rng, QUESTIONS["bars"], split)
    answer = f"The chart has **{len(chart.labels)}** bars."
    return Turn("number of bars", question, _opening(chart), answer, direct=True)


def not_a_grid(rng: random.Random, chart: BarChart, split: Split) -> Turn:
    """Ask about shapes in cells although the image is a chart."""
    thing = f"{rng.choice(tuple(COLOURS))} {rng.choice(SHAPES)}"
    row, column = rng.randint(1, 6), rng.randint(1, 6)
    slots: dict[str, object] = {
        "thing": thing,
        "things": plural(thing),
        "r": row,
        "c": column,
        "rth": ORDINALS[row - 1],
        "cth": ORDINALS[column - 1],
    }
    question = phrase(rng, QUESTIONS[rng.choice(("count", "cell"))], split, slots)
    bars = len(chart.labels)
    answer = f"This picture is not a grid of shapes: it is a bar chart with {bars} bars."
    return Turn("wrong picture", question, f"{_opening(chart)} No grid.", answer, direct=True)


def chart_other(rng: random.Random, chart: BarChart, split: Split) -> Turn:
    """Ask something about the image that the miniature has not learned."""
    question = phrase(rng, QUESTIONS["other"], split)
    thought = f"{_opening(chart)} I have not learned to answer this."
    return Turn("other picture question", question, thought, CANNOT_READ, direct=True)
