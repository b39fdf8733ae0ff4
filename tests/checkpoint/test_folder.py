"""Opening a converted folder: whole ones open, and each way of being broken is named with a remedy."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

from magistral_mlx.checkpoint.folder import Checkpoint, open_checkpoint, read_json
from magistral_mlx.checkpoint.safetensors_header import read_header
from magistral_mlx.errors import CheckpointError
from support.random_checkpoint import random_weights, tiny_config, write_converted, write_source
from support.tekken import SYSTEM_PROMPT

INDEX = "model.safetensors.index.json"
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
EMBEDDING = "language_model.model.embed_tokens.weight"
QUERY = "language_model.model.layers.0.self_attn.q_proj"
EYE = "vision_tower.vision_model.patch_conv.weight"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 4-bit folder in two weight files."""
    return write_converted(tmp_path_factory.mktemp("whole") / "tiny-4bit", bits=4, shards=2)


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may break."""
    return Path(shutil.copytree(whole, tmp_path / "tiny-4bit"))


def edit_json(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text("utf-8"))
    change(content)
    path.write_text(json.dumps(content), "utf-8")


def edit_weights(folder: Path, change: Callable[[dict[str, mx.array]], object]) -> None:
    """Rewrites the folder as one weight file after `change`."""
    weights: dict[str, mx.array] = {}
    for file in sorted(folder.glob("*.safetensors")):
        loaded = mx.load(str(file))
        assert isinstance(loaded, dict)
        mx.eval(loaded)
        weights |= loaded
        file.unlink()
    change(weights)
    (folder / INDEX).unlink()
    mx.save_safetensors(str(folder / "model.safetensors"), weights)


def refused(folder: Path) -> CheckpointError:
    with pytest.raises(CheckpointError) as refusal:
        open_checkpoint(folder)
    assert refusal.value.remedy, "every refusal says what to do"
    assert "\n" not in str(refusal.value), "one line"
    return refusal.value


def test_a_whole_folder_opens(whole: Path) -> None:
    checkpoint = open_checkpoint(whole)
    assert isinstance(checkpoint, Checkpoint)
    assert checkpoint.name == "tiny-4bit"
    assert checkpoint.weight_files == (whole / FIRST, whole / SECOND)
    assert checkpoint.tokenizer_file == whole / "tekken.json"
    assert checkpoint.system_prompt == SYSTEM_PROMPT
    assert checkpoint.manifest is None
    assert checkpoint.raw_config["model_type"] == "mistral3"
    assert checkpoint.config.quantization is not None


@pytest.mark.parametrize(
    ("bits", "group_size", "mode"),
    [(16, 64, "affine"), (3, 32, "affine"), (6, 64, "affine"), (4, 32, "mxfp4")],
)
def test_every_packing_opens(tmp_path: Path, bits: int, group_size: int, mode: str) -> None:
    folder = write_converted(tmp_path / "m", bits=bits, group_size=group_size, mode=mode)
    assert open_checkpoint(folder).config.vision is not None


def test_one_weight_file_needs_no_index(folder: Path) -> None:
    edit_weights(folder, lambda _: None)
    assert open_checkpoint(folder).weight_files == (folder / "model.safetensors",)


def test_stray_weight_files_are_ignored(folder: Path) -> None:
    (folder / "consolidated.safetensors").write_bytes(b"not ours")
    assert len(open_checkpoint(folder).weight_files) == 2


def test_a_text_model_opens_without_eyes(tmp_path: Path) -> None:
    folder = write_converted(tmp_path / "text", config=tiny_config(vision=False), bits=4)
    assert open_checkpoint(folder).config.vision is None


def test_links_to_a_cache_are_followed(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "linked"
    folder.mkdir()
    for file in whole.iterdir():
        (folder / file.name).symlink_to(file)
    assert open_checkpoint(folder).name == "linked"


def test_the_name_comes_from_the_manifest_when_it_is_sane(folder: Path) -> None:
    manifest = folder / "magistral-mlx.json"
    manifest.write_text(json.dumps({"name": "magistral-small-2509-4bit"}), "utf-8")
    assert open_checkpoint(folder).name == "magistral-small-2509-4bit"
    for absurd in (7, "", "x" * 1000, "a\nb", "\x1b[31mred"):
        manifest.write_text(json.dumps({"name": absurd}), "utf-8")
        assert open_checkpoint(folder).name == "tiny-4bit"


def test_a_model_without_system_prompt_opens(folder: Path) -> None:
    (folder / "SYSTEM_PROMPT.txt").unlink()
    assert open_checkpoint(folder).system_prompt is None


def test_no_folder_and_no_config_are_told_apart(tmp_path: Path) -> None:
    assert refused(tmp_path / "absent").problem.endswith("absent does not exist")
    (tmp_path / "file").touch()
    assert refused(tmp_path / "file").problem.endswith("file is not a folder")
    (tmp_path / "empty").mkdir()
    assert refused(tmp_path / "empty").problem.endswith("empty has no config.json")


@pytest.mark.parametrize("new_style", [False, True])
def test_a_hugging_face_folder_is_sent_to_the_converter(tmp_path: Path, new_style: bool) -> None:
    folder = write_source(tmp_path / "hf", new_style=new_style)
    refusal = refused(folder)
    assert "is a Hugging Face checkpoint, not converted to MLX" in refusal.problem
    assert f"magistral convert {folder}" in refusal.remedy


@pytest.mark.parametrize("file", ["params.json", "model-Q4_K_M.gguf"])
def test_other_sources_are_sent_to_the_converter(tmp_path: Path, file: str) -> None:
    (tmp_path / file).touch()
    assert f"magistral convert {tmp_path}" in refused(tmp_path).remedy


@pytest.mark.parametrize("file", ["config.json", INDEX, FIRST, SECOND, "tekken.json"])
def test_a_missing_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    assert file in refused(folder).problem


@pytest.mark.parametrize("file", ["config.json", INDEX, "SYSTEM_PROMPT.txt", FIRST, SECOND])
def test_a_file_of_rubbish_is_named(folder: Path, file: str) -> None:
    (folder / file).write_bytes(b"\xff\xfe\x00 rubbish")
    assert file in refused(folder).problem


@pytest.mark.parametrize("file", ["config.json", INDEX])
@pytest.mark.parametrize("content", ["", "[]", "{", "null", "[" * 100_000, '{"weight_map": []}'])
def test_json_of_another_kind_is_named(folder: Path, file: str, content: str) -> None:
    (folder / file).write_text(content, "utf-8")
    assert file in refused(folder).problem


@pytest.mark.parametrize("cut", [1, 1000, 10_000])
def test_a_weight_file_cut_off_or_grown_is_named(folder: Path, cut: int) -> None:
    content = (folder / SECOND).read_bytes()
    (folder / SECOND).write_bytes(content[:-cut])
    assert SECOND in refused(folder).problem
    (folder / SECOND).write_bytes(content + bytes(cut))
    assert SECOND in refused(folder).problem


@pytest.mark.parametrize(
    "name",
    [
        "../out.safetensors",
        "/etc/x.safetensors",
        "a\\b.safetensors",
        "x.bin",
        "\x1b[31m.safetensors",
        "a\n.safetensors",
        "",
        3,
        None,
    ],
)
def test_the_index_can_name_plain_weight_files_only(folder: Path, name: object) -> None:
    edit_json(folder / INDEX, lambda index: index["weight_map"].update({EMBEDDING: name}))
    assert "is not the name of a weight file" in refused(folder).problem


def test_index_and_headers_must_say_the_same(folder: Path) -> None:
    edit_json(folder / INDEX, lambda index: index["weight_map"].update({"ghost.weight": FIRST}))
    assert f"{FIRST} lacks 'ghost.weight'" in refused(folder).problem
    edit_json(folder / INDEX, lambda index: index["weight_map"].pop("ghost.weight"))
    edit_json(folder / INDEX, lambda index: index["weight_map"].update({EMBEDDING: FIRST}))
    assert f"holds {EMBEDDING!r}" in refused(folder).problem
    edit_json(folder / INDEX, lambda index: index["weight_map"].pop(EMBEDDING))
    assert f"holds {EMBEDDING!r}" in refused(folder).problem


@pytest.mark.parametrize(
    "name", [EMBEDDING, f"{QUERY}.weight", f"{QUERY}.biases", "language_model.lm_head.scales"]
)
def test_a_missing_tensor_is_named(folder: Path, name: str) -> None:
    edit_weights(folder, lambda weights: weights.pop(name))
    assert name.rpartition(".")[0] in refused(folder).problem


def test_lost_eyes_are_told_as_such(folder: Path) -> None:
    def blind(weights: dict[str, mx.array]) -> None:
        for name in [name for name in weights if name.startswith(("vision_tower", "multi_modal"))]:
            del weights[name]

    edit_weights(folder, blind)
    assert "lacks vision weights" in refused(folder).problem


def test_tensors_that_the_model_does_not_have_are_named(folder: Path) -> None:
    edit_weights(folder, lambda weights: weights.update({"language_model.model.extra.bias": mx.zeros(4)}))
    assert "holds 'language_model.model.extra.bias' that this model does not have" in refused(folder).problem


def test_eyes_without_vision_config_are_refused(folder: Path) -> None:
    edit_json(folder / "config.json", lambda config: config.pop("vision_config"))
    assert re.search(r"holds 'multi_modal_projector\.\S+ and \d+ more tensors", refused(folder).problem)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        (EYE, mx.zeros((64, 3, 14, 14), dtype=mx.bfloat16)),
        ("language_model.model.norm.weight", mx.zeros(63, dtype=mx.bfloat16)),
        (f"{QUERY}.weight", mx.zeros((128, 9), dtype=mx.uint32)),
        (f"{QUERY}.scales", mx.zeros((128, 2), dtype=mx.bfloat16)),
    ],
)
def test_a_shape_that_contradicts_the_config_is_named(folder: Path, name: str, array: mx.array) -> None:
    edit_weights(folder, lambda weights: weights.update({name: array}))
    problem = refused(folder).problem
    assert f"{name!r} has the shape {list(array.shape)}; config.json asks for" in problem


@pytest.mark.parametrize(
    ("name", "dtype"), [(EMBEDDING, mx.int32), (f"{QUERY}.scales", mx.uint8), (EYE, mx.int16)]
)
def test_a_dtype_that_contradicts_the_config_is_named(folder: Path, name: str, dtype: mx.Dtype) -> None:
    edit_weights(folder, lambda weights: weights.update({name: weights[name].astype(dtype)}))
    assert f"{name!r} is stored as" in refused(folder).problem


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"bits": 8}, "has the shape"),
        ({"group_size": 32}, "has the shape"),
        ({QUERY: False}, f"{QUERY}.weight' has the shape"),
        (
            {"language_model.model.embed_token": {"bits": 4, "group_size": 64}},
            "which this model does not have",
        ),
        ({"vision_tower.vision_model.patch_conv": {"bits": 4, "group_size": 64}}, "which is impossible"),
        ({"multi_modal_projector.linear_1": True}, "lacks 'multi_modal_projector.linear_1.scales'"),
    ],
)
def test_a_quantization_table_that_lies_is_refused(
    folder: Path, change: dict[str, object], told: str
) -> None:
    edit_json(folder / "config.json", lambda config: config["quantization"].update(change))
    assert told in refused(folder).problem


def test_packed_weights_without_a_table_are_refused(folder: Path) -> None:
    edit_json(folder / "config.json", lambda config: config.pop("quantization"))
    assert "has the shape" in refused(folder).problem


def test_the_table_may_be_silent_about_modules_as_stored(tmp_path: Path) -> None:
    """mlx-vlm writes no exception for a module that it left unquantized; its folders open too."""
    config = tiny_config()
    folder = write_converted(tmp_path / "m", config=config, bits=4)
    edit_json(
        folder / "config.json", lambda config: config.update(quantization={"bits": 4, "group_size": 64})
    )
    assert open_checkpoint(folder).config.vision is not None


def test_a_config_of_another_size_than_the_weights_is_refused(tmp_path: Path) -> None:
    weights = random_weights(tiny_config())
    config = tiny_config()
    config["text_config"]["num_hidden_layers"] = 3
    folder = tmp_path / "m"
    write_converted(folder, weights=weights)
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    assert "lacks 'language_model.model.layers.2." in refused(folder).problem
    assert "and 8 more tensors" in refused(folder).problem


def test_opening_reads_no_weights(folder: Path) -> None:
    """Damage inside the data can't be seen by opening, which proves that the data was not read."""
    header = read_header(folder / FIRST)
    with (folder / FIRST).open("r+b") as file:
        file.seek(header.data_offset)
        file.write(b"\xff" * 1000)
    open_checkpoint(folder)


def test_a_fifo_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(CheckpointError, match="not a regular file"):
        read_json(tmp_path / "config.json")
