"""Magistral Small 1.0 and 1.1: text only, under other names, to the same converted folder."""

import json
from pathlib import Path

import pytest

from magistral_mlx.checkpoint.folder import open_checkpoint
from magistral_mlx.errors import ConversionError
from magistral_mlx_convert import convert
from support.hf_checkpoint import change_weights, read_raw
from support.native_checkpoint import write_native
from support.predecessors import PROMPT_1_0, write_predecessor
from support.random_checkpoint import tiny_config, write_source

WEIGHTS = "model-00001-of-00001.safetensors"


def test_the_weights_are_those_of_the_same_text_model(tmp_path: Path) -> None:
    old = write_predecessor(tmp_path / "old", release="1.1")
    new = write_source(tmp_path / "new", config=tiny_config(vision=False))
    one, two = convert(old, tmp_path / "one"), convert(new, tmp_path / "two")
    assert (one / WEIGHTS).read_bytes() == (two / WEIGHTS).read_bytes()
    checkpoint = open_checkpoint(one)
    assert checkpoint.config.vision is None
    assert checkpoint.config == open_checkpoint(two).config


def test_it_says_that_the_result_does_not_see(tmp_path: Path) -> None:
    notes: list[str] = []
    source = write_predecessor(tmp_path / "old", release="1.1")
    convert(source, tmp_path / "out", progress=lambda progress: notes.append(progress.note))
    assert "The model is text only: it will not see images" in notes


def test_its_own_prompt_travels_with_it(tmp_path: Path) -> None:
    folder = convert(write_predecessor(tmp_path / "old", release="1.0"), tmp_path / "out")
    assert (folder / "SYSTEM_PROMPT.txt").read_text() == PROMPT_1_0


def test_the_config_of_the_result_is_a_mistral3_of_text_alone(tmp_path: Path) -> None:
    folder = convert(write_predecessor(tmp_path / "old", release="1.0"), tmp_path / "out")
    config = json.loads((folder / "config.json").read_text())
    assert config["model_type"] == "mistral3"
    assert config["text_config"]["model_type"] == "mistral"
    assert config["text_config"]["rope_theta"] == 1e9
    assert "vision_config" not in config


def test_from_its_native_files(tmp_path: Path) -> None:
    source = write_source(tmp_path / "hf", config=tiny_config(vision=False))
    one = convert(write_predecessor(tmp_path / "old", release="1.1"), tmp_path / "one")
    two = convert(write_native(tmp_path / "native", source), tmp_path / "two")
    assert (one / WEIGHTS).read_bytes() == (two / WEIGHTS).read_bytes()


@pytest.mark.parametrize("gone", ["model.norm.weight", "lm_head.weight"])
def test_a_missing_tensor_is_named_as_in_its_file(tmp_path: Path, gone: str) -> None:
    source = write_predecessor(tmp_path / "old", release="1.1")
    change_weights(source, lambda tensors: tensors.pop(gone))
    with pytest.raises(ConversionError, match=rf"old lacks {gone}"):
        convert(source, tmp_path / "out")


def test_the_source_is_left_alone(tmp_path: Path) -> None:
    source = write_predecessor(tmp_path / "old", release="1.1")
    before = read_raw(source / WEIGHTS)
    convert(source, tmp_path / "out")
    assert read_raw(source / WEIGHTS) == before
