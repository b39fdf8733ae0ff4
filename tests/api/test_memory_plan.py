"""`mm.plan`: what would be needed here, before anything is loaded; printed, a table."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import magistral_mlx as mm
from magistral_mlx.api.memory_plan import MAGISTRAL_SMALL
from magistral_mlx.memory.sizes import Machine
from magistral_mlx.storage.units import GIB
from support.random_checkpoint import tiny_config, write_converted

MAC = Machine(total_bytes=32 * GIB, recommended_bytes=24 * GIB, available_bytes=25 * GIB)
SMALL_MAC = Machine(total_bytes=24 * GIB, recommended_bytes=18 * GIB, available_bytes=9 * GIB)


def test_without_a_model_magistral_small_is_planned() -> None:
    made = mm.plan(machine=MAC)
    assert (made.model, made.context, made.kv_bits, made.image_tokens) == (MAGISTRAL_SMALL, 4096, 16, 0)
    assert made.fits
    assert not made.tight
    assert made.verdict == "fits"


def test_the_table_says_everything() -> None:
    lines = str(mm.plan(context=50_000, images=2, kv_bits=8, machine=MAC)).splitlines()
    assert lines[0] == MAGISTRAL_SMALL
    assert lines[1].split() == ["weights", "13.2", "GiB"]
    assert lines[2].strip().startswith("KV cache, 50,000 tokens in 8 bits")
    assert any(line.split() == ["Metal", "recommends", "24.0", "GiB"] for line in lines)
    assert "  fits" in lines
    assert lines[-1] == "  quality may fall beyond 40,960 tokens, its authors say"


def test_what_does_not_fit_names_what_would() -> None:
    made = mm.plan(context=40_000, images=1, machine=SMALL_MAC)
    assert not made.fits
    assert made.verdict == "does not fit: 2.5 GiB too little memory"
    assert made.notes[0] == "with kv_bits=8 it would fit"
    assert made.notes[1].startswith("a context of 2")


def test_what_fits_once_others_give_memory_back_is_tight() -> None:
    made = mm.plan(context=8000, machine=SMALL_MAC)
    assert made.fits
    assert made.tight
    assert made.verdict == "tight: only 9.0 GiB is free now; close other programs first"


@pytest.mark.parametrize(
    ("images", "tokens"),
    [
        (0, 0),
        (2, 2 * 3080),
        ([(1540, 1540)], 3080),
        ([(100, 50)], 4 * 2 + 2),
        ([Image.new("RGB", (100, 50)), (4000, 4000)], 10 + 3080),
    ],
)
def test_images_by_number_by_size_and_themselves(images: Any, tokens: int) -> None:
    made = mm.plan(images=images, machine=MAC)
    assert made.image_tokens == tokens
    assert made.context >= tokens + 1000
    assert (made.vision_bytes > 0) == (tokens > 0)


def test_a_folder_and_a_loaded_model_give_the_same_plan(tmp_path: Path) -> None:
    folder = write_converted(tmp_path / "tiny", bits=4)
    machine = Machine(total_bytes=32 * GIB)
    by_folder = mm.plan(folder, context=300, machine=machine)
    with mm.load(folder) as model:
        assert mm.plan(model, context=300, machine=machine) == by_folder
    assert by_folder.model == "tiny"
    assert set(by_folder.contexts) == {16, 8, 4}


def test_this_machine_is_looked_at(tmp_path: Path) -> None:
    made = mm.plan(write_converted(tmp_path / "tiny"))
    assert made.machine.total_bytes
    assert made.machine.used_bytes > 0


def test_more_than_the_model_takes_does_not_fit(tmp_path: Path) -> None:
    assert not mm.plan(write_converted(tmp_path / "tiny"), context=5000, machine=MAC).fits


@pytest.mark.parametrize("options", [{"context": 0}, {"kv_bits": 5}, {"images": -1}])
def test_impossible_numbers(options: dict[str, Any]) -> None:
    with pytest.raises(mm.UsageError):
        mm.plan(machine=MAC, **options)


def test_images_for_a_blind_model(tmp_path: Path) -> None:
    folder = write_converted(tmp_path / "blind", config=tiny_config(vision=False))
    with pytest.raises(mm.UsageError, match="takes no images"):
        mm.plan(folder, images=1, machine=MAC)


def test_a_model_that_is_not_there() -> None:
    with pytest.raises(mm.CheckpointError):
        mm.plan("nowhere", machine=MAC)
