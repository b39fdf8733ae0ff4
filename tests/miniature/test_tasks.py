"""The task generator: answers follow from the images and numbers, held-out cases stay apart."""

import random
import re
from typing import get_args

import pytest

from magistral_miniature.tasks import charts, grids, talk
from magistral_miniature.tasks.arithmetic import add_thought, arithmetic, is_held_out, subtract_thought
from magistral_miniature.tasks.cases import BLIND_TASKS, case
from magistral_miniature.tasks.conversations import (
    OUT_OF_ROOM,
    Control,
    Conversation,
    Picture,
    Text,
    converse,
    render,
)
from magistral_miniature.tasks.turns import NEEDS_THINKING, Turn
from magistral_miniature.wordings.fillers import among_other_words
from magistral_miniature.wordings.grammars import parts_of, patterns
from magistral_miniature.wordings.lists.bars import SHORTEST, TALLEST, VALUE
from magistral_miniature.wordings.lists.numbers import ADDITION, DIFFERENCE, MORE_THAN, SUBTRACTION
from magistral_miniature.wordings.lists.pictures import CELL, COUNT, DESCRIBE
from magistral_miniature.wordings.phrasing import (
    HELD_OUT_STEP,
    Split,
    drawn,
    evaluated,
    filled,
    known,
    template_of_training,
    templates_of,
)
from magistral_miniature.wordings.questions import QUESTIONS
from magistral_miniature.wordings.story_words import story_slots
from magistral_miniature.wordings.variation import makes, plain, with_other_words
from magistral_mlx.miniature.images import BarChart, Cell, Grid, random_chart, random_grid

RED_CIRCLE, BLUE_STAR = Cell("red", "circle"), Cell("blue", "star")
GRID = Grid(((RED_CIRCLE, None, BLUE_STAR), (RED_CIRCLE, RED_CIRCLE, None)))
CHART = BarChart(("D", "B", "C"), (4, 9, 2))


def last_number(text: str) -> int:
    return int(re.findall(r"-?\d+", text)[-1])


@pytest.mark.parametrize("split", get_args(Split))
def test_arithmetic_answers_end_in_the_result(split: str) -> None:
    rng = random.Random(1)
    for _ in range(500):
        turn = arithmetic(rng, split)  # type: ignore[arg-type]
        left, right = (int(x) for x in re.findall(r"\d+", turn.answer)[:2])
        result = {"add": left + right, "subtract": left - right, "difference": abs(left - right)}
        assert last_number(turn.answer) == result[turn.task]
        assert turn.thought.endswith(f" is {result[turn.task]}.")
        assert is_held_out(left, right) is (split != "train") or turn.task != "add"


def test_an_addition_is_worked_out_digit_by_digit() -> None:
    assert add_thought(47, 38).splitlines() == [
        "Add 047 + 038.",
        "Ones: 7 + 8 + 0 = 15",
        "Tens: 4 + 3 + 1 = 08",
        "Hundreds: 0 + 0 + 0 = 00",
        "So 0085 is 85.",
    ]


def test_a_negative_difference_is_worked_out_the_other_way_round() -> None:
    assert subtract_thought(47, 85, signed=True).splitlines() == [
        "Subtract 047 - 085.",
        "Compare 0 = 0, 4 < 8, 7 > 5: less.",
        "Swap 085 - 047, minus.",
        "Ones: 5 - 7 - 0 = 8, borrow 1",
        "Tens: 8 - 4 - 1 = 3, borrow 0",
        "Hundreds: 0 - 0 - 0 = 0, borrow 0",
        "So minus 038 is -38.",
    ]


def test_alt_texts_are_one_sentence() -> None:
    assert grids.sentence(GRID) == (
        "A grid with 2 rows and 3 columns: row 1 holds a red circle, an empty cell and a blue star; "
        "row 2 holds a red circle, a red circle and an empty cell."
    )
    assert charts.sentence(CHART) == "A bar chart with 3 bars: D is 4, B is 9 and C is 2."


def test_counts_are_right() -> None:
    rng = random.Random(2)
    for _ in range(300):
        grid = random_grid(rng, kinds=rng.randint(1, 4))
        turn = grids.count_cells(rng, grid, "train")
        found = re.match(r"Look for (\w+) (\w+)\.", turn.thought)
        assert found
        colour, shape = found.groups()
        cells = [cell for row in grid.cells for cell in row if cell]
        fitting = [c for c in cells if colour in ("any", c.colour) and shape in ("shape", c.shape)]
        assert last_number(turn.answer) == len(fitting)


def test_cells_are_read_by_place() -> None:
    rng = random.Random(3)
    for _ in range(300):
        grid = random_grid(rng)
        turn = grids.read_cell(rng, grid, "train")
        row, column = (int(x) for x in re.findall(r"\d+", turn.thought)[:2])
        if row > grid.rows or column > grid.columns:
            assert turn.answer.startswith("There is no ")
            continue
        cell = grid.cells[row - 1][column - 1]
        assert (f"{cell.colour} {cell.shape}" if cell else "**empty**") in turn.answer


def test_no_number_word_sticks_to_a_letter() -> None:
    rng, stuck = random.Random(9), 0
    for _ in range(3_000):
        question = grids.read_cell(rng, random_grid(rng), "train").question.lower()
        assert not re.search(r"\b[rc](one|two|three|four|five|six|seven)\b", question)
        stuck += bool(re.search(r"\br\d", question))
    assert stuck


def test_bars_are_compared_and_read() -> None:
    rng = random.Random(4)
    for _ in range(300):
        chart = random_chart(rng)
        values = dict(zip(chart.labels, chart.values, strict=True))
        extreme = charts.extreme_bar(rng, chart, "train")
        best = (max if extreme.task == "tallest" else min)(values, key=lambda label: values[label])
        assert f"**{best}**" in extreme.answer
        read = charts.read_bar(rng, chart, "train")
        wanted = read.thought[len("Look for ")]
        expected = f"**{values[wanted]}**" if wanted in values else f"There is no bar {wanted}"
        assert expected in read.answer


@pytest.mark.parametrize(
    "templates", [ADDITION, SUBTRACTION, COUNT, CELL, DESCRIBE, TALLEST, SHORTEST, VALUE]
)
def test_there_are_many_wordings_and_some_are_held_out(templates: tuple[str, ...]) -> None:
    train, held = templates_of(templates, "train"), templates_of(templates, "held-out")
    assert len(set(templates)) == len(templates) >= 55
    assert set(train).isdisjoint(held)
    assert len(train) + len(held) == len(templates)
    assert len(held) >= len(templates) // HELD_OUT_STEP


def test_small_wording_lists_have_held_out_wordings_too() -> None:
    for templates in (DIFFERENCE, MORE_THAN):
        assert templates_of(templates, "held-out")


@pytest.mark.parametrize("split", ["tester-new", "stranger-new"])
@pytest.mark.parametrize("kind", [kind for kind, wordings in QUESTIONS.items() if wordings.blind["tester"]])
def test_what_the_table_calls_new_is_never_made_in_training(kind: str, split: Split) -> None:
    wordings = QUESTIONS[kind]
    asked = {plain(one, wordings.about) for one in evaluated(wordings, split)}
    assert len(asked) >= 5
    rng = random.Random(8)
    for _ in range(1_000):
        template = template_of_training(rng, wordings)
        assert plain(filled(rng, template, wordings.slots), wordings.about) not in asked


@pytest.mark.parametrize("kind", [kind for kind, wordings in QUESTIONS.items() if wordings.parts])
def test_it_is_known_what_training_makes(kind: str) -> None:
    wordings, rng = QUESTIONS[kind], random.Random(8)
    for _ in range(150):
        parts = parts_of(rng, wordings.parts) if rng.random() < 0.7 else [rng.choice(drawn(wordings))]
        changed = "".join(with_other_words(rng, parts, wordings.about))
        told = filled(rng, changed, wordings.slots)
        assert known(told, wordings), told
        assert known(f"Quick question: {told}", wordings)
    assert not known("What is the meaning of the word life in a poem by my aunt?", wordings)


def test_people_and_things_of_a_story_do_not_make_it_another() -> None:
    wordings = QUESTIONS["add"]
    assert known("A nurse has {a} drums and buys {b} more. How many drums does she have now?", wordings)
    assert not known("Zoe heard {a} drums and then {b} louder ones. Overall noises?", wordings)


def test_a_pattern_is_a_grammar() -> None:
    grammar = patterns("[Please |]add {a} to {b}[<mark>| now<mark>]", mark="?|!")
    assert grammar == ((("Please ", ""), ("add {a} to {b}",), ("?", "!", " now?", " now!")),)
    assert makes(grammar, "add {a} to {b} now", "talk")
    assert not makes(grammar, "add {b} to {a}", "talk")


def test_a_slot_takes_another_value_at_every_place() -> None:
    values = {"a": ("{b}x", "{b}y"), "b": 7}
    assert {filled(random.Random(seed), "{a} {a}", values) for seed in range(40)} == {
        "7x 7x",
        "7x 7y",
        "7y 7x",
        "7y 7y",
    }


def test_a_story_keeps_its_person_and_its_thing() -> None:
    rng = random.Random(10)
    for _ in range(50):
        story = filled(rng, "{w} has {n}, {v} has {m}: {w}, {n}", story_slots(rng))
        who, thing, other, another, again, same = re.findall(r"\w+", story.replace(" has ", " "))
        assert (who, thing) == (again, same)
        assert who != other
        assert thing != another


@pytest.mark.parametrize("split", get_args(Split)[1:])
@pytest.mark.parametrize("task", BLIND_TASKS)
def test_cases_take_the_wordings_of_their_split(task: str, split: str) -> None:
    images = [random_grid(random.Random(1)), random_chart(random.Random(2))]
    turns = [case(task, number, images, split).turn for number in range(20)]  # type: ignore[arg-type]
    assert {turn.task for turn in turns} == {task}
    assert len({turn.question for turn in turns}) > 5
    assert turns == [case(task, number, images, split).turn for number in range(20)]  # type: ignore[arg-type]


def test_operand_pairs_are_split() -> None:
    rng = random.Random(5)
    held = sum(is_held_out(rng.randint(0, 999), rng.randint(0, 999)) for _ in range(5_000))
    assert 350 < held < 650


def test_pieces_render_as_the_chat_format() -> None:
    turn = Turn("add", "What is 1 + 1?", "thought", "answer")
    pieces = render(Conversation((turn, turn), (7, None)))
    text = "".join(
        p.text if isinstance(p, Text) else p.name if isinstance(p, Control) else f"<{p.number}>"
        for p in pieces
    )
    start = text.index("[INST]")
    exchange = "What is 1 + 1?[/INST][THINK]thought[/THINK]answer</s>"
    assert text[start:] == f"[INST]<7>{exchange}[INST]{exchange}"
    assert text.startswith("<s>[SYSTEM_PROMPT]")
    assert [p for p in pieces if isinstance(p, Picture)] == [Picture(7)]


def test_without_thinking_only_direct_answers_are_given() -> None:
    turn = Turn("add", "What is 1 + 1?", "thought", "answer")
    texts = [p.text for p in render(Conversation((turn,), (None,), thinking=False)) if isinstance(p, Text)]
    assert texts == ["What is 1 + 1?", NEEDS_THINKING]


def test_a_cut_thought_ends_in_an_honest_answer() -> None:
    turn = Turn("add", "What is 1 + 1?", "one two three four", "answer")
    pieces = render(Conversation((turn,), (None,), cut=0.5))
    learned = [p.text for p in pieces if isinstance(p, Text) and p.learned]
    assert learned == ["one two", OUT_OF_ROOM]


def test_every_kind_of_question_turns_up() -> None:
    rng = random.Random(6)

    def pick() -> tuple[int, Grid | BarChart]:
        return 0, random_grid(rng) if rng.random() < 0.5 else random_chart(rng)

    tasks = {turn.task for _ in range(3_000) for turn in converse(rng, pick, "train").turns}
    assert len(tasks) == 21


def test_what_it_cannot_do_is_declined_in_the_same_words() -> None:
    rng = random.Random(7)
    assert len({talk.unknown(rng, "train").answer for _ in range(50)}) == 1
    assert "miniature" in talk.unknown(rng, "held-out").answer


def test_other_words_leave_the_numbers_and_their_order_alone() -> None:
    rng = random.Random(9)
    templates = (*ADDITION, *SUBTRACTION, *MORE_THAN, *CELL)
    others = 0
    for template in templates:
        changed = among_other_words(rng, template)
        others += changed != template
        assert re.findall(r"\{\w+\}", changed) == re.findall(r"\{\w+\}", template)
        assert not re.search(r"\d", changed) or re.search(r"\d", template)
    assert others > len(templates) / 2
