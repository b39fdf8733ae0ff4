"""The recipe for a machine: by its memory, and plain where calibrating would take hours."""

import pytest

from magistral_mlx_convert.planning.automatic import CANDIDATES, automatic_recipe
from magistral_mlx_convert.planning.recipe import Recipe
from magistral_mlx_convert.planning.recipe_table import RECIPE_TABLE

SIZES = {line.name: round(line.gb * 1e9) for line in RECIPE_TABLE}


def size_of(recipe: Recipe) -> int:
    """Of Magistral Small."""
    return SIZES[recipe.name]


def chosen(*, gib: int | None, has_gpu: bool = True, room: bool = True) -> tuple[str, str]:
    memory = None if gib is None else gib << 30
    choice = automatic_recipe(
        size_of, dtype="bfloat16", has_gpu=has_gpu, memory_bytes=memory, has_room=lambda _: room
    )
    return choice.recipe.name, choice.note


@pytest.mark.parametrize(
    ("gib", "name"),
    [
        (24, "calibrated-4bit"),
        (32, "calibrated-4bit-g32"),
        (128, "calibrated-4bit-g32"),
        (16, "calibrated-3bit-g32"),
    ],
)
def test_memory_decides(gib: int, name: str) -> None:
    assert chosen(gib=gib)[0] == name


def test_the_note_says_what_was_chosen_and_why() -> None:
    assert "14.1 GB of weights for this machine's 24 GiB" in chosen(gib=24)[1]
    assert "tight" in chosen(gib=16)[1]


def test_without_a_gpu_nothing_is_calibrated_unasked() -> None:
    assert chosen(gib=64, has_gpu=False)[0] == "4bit"


def test_a_full_disk_leaves_the_plain_recipe_and_it_is_said() -> None:
    name, note = chosen(gib=32, room=False)
    assert name == "4bit"
    assert "calibrated-4bit-g32" in note


def test_a_machine_that_tells_nothing_gets_the_common_size() -> None:
    assert chosen(gib=None)[0] == "calibrated-4bit"


def test_candidates_become_smaller() -> None:
    sizes = [SIZES[name] for name in CANDIDATES]
    assert sizes == sorted(sizes, reverse=True)
