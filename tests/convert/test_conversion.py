"""A conversion from end to end, on tiny random checkpoints: what is in the folder, and that it is right."""

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from magistral_mlx.checkpoint.folder import open_checkpoint
from magistral_mlx.errors import UsageError
from magistral_mlx_convert import Progress, Stage, convert
from magistral_mlx_convert.planning import plan
from magistral_mlx_convert.writing import stream
from support.hf_checkpoint import digests, read_folder, read_raw, write_single_file_source
from support.random_checkpoint import tiny_config, write_source
from support.tekken import SYSTEM_PROMPT


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_source(tmp_path / "Tiny", shards=3)


def weights_of(folder: Path) -> dict[str, str]:
    """Digests of the weight files alone: cards may name the source."""
    return {name: digest for name, digest in digests(folder).items() if name.endswith(".safetensors")}


def test_a_folder_that_the_runtime_opens(source: Path, tmp_path: Path) -> None:
    folder = convert(source, tmp_path / "out")

    assert folder == tmp_path / "out"
    checkpoint = open_checkpoint(folder)
    assert checkpoint.name == "Tiny-4bit"
    assert checkpoint.system_prompt == SYSTEM_PROMPT
    assert checkpoint.config.quantization is not None
    assert checkpoint.config.quantization.bits == 4
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "SYSTEM_PROMPT.txt",
        "config.json",
        "magistral-mlx.json",
        "model-00001-of-00001.safetensors",
        "model.safetensors.index.json",
        "tekken.json",
    ]


def test_the_manifest_is_true(source: Path, tmp_path: Path) -> None:
    folder = convert(source, tmp_path / "out", name="My model")
    manifest = json.loads((folder / "magistral-mlx.json").read_text())
    found = digests(folder)
    del found["magistral-mlx.json"]
    assert {name: entry["sha256"] for name, entry in manifest["files"].items()} == found
    assert all(entry["bytes"] == (folder / name).stat().st_size for name, entry in manifest["files"].items())
    assert manifest["name"] == "My model"
    assert manifest["source"] == {"kind": "huggingface-folder", "name": "Tiny", "revision": None}
    assert manifest["recipe"] == {
        "name": "4bit", "dtype": "bfloat16", "bits": 4, "group_size": 64, "mode": "affine"
    }  # fmt: skip
    assert manifest["made_with"]["backend"] == "cpu"


def test_nothing_of_this_machine_is_in_the_folder(source: Path, tmp_path: Path) -> None:
    folder = convert(source, tmp_path / "out")
    for path in folder.iterdir():
        assert str(tmp_path).encode() not in path.read_bytes(), path.name


def test_the_same_call_gives_the_same_bytes(source: Path, tmp_path: Path) -> None:
    assert digests(convert(source, tmp_path / "one")) == digests(convert(source, tmp_path / "two"))


def test_both_spellings_and_both_config_styles_and_both_layouts_give_the_same(tmp_path: Path) -> None:
    folders = [
        write_source(tmp_path / "a" / "Tiny", shards=3),
        write_source(tmp_path / "b" / "Tiny", new_style=True),
        write_source(tmp_path / "c" / "Tiny", config=tiny_config(style=5)),
        write_single_file_source(tmp_path / "d" / "Tiny", new_style=True, config=tiny_config(style=5)),
    ]
    first, *others = [digests(convert(folder, folder.parent / "out")) for folder in folders]
    for other in others:
        assert other == first


def test_files_that_the_index_does_not_name_are_ignored(source: Path, tmp_path: Path) -> None:
    before = weights_of(convert(source, tmp_path / "before"))
    (source / "consolidated.safetensors").write_bytes(b"the same weights in another format")
    (source / "model-99999-of-99999.safetensors").write_bytes(b"left over")
    assert weights_of(convert(source, tmp_path / "after")) == before


@pytest.mark.parametrize(
    "chunk_bytes", [1000, *(pytest.param(size, marks=pytest.mark.thorough) for size in (4096, 1 << 30))]
)
def test_the_output_does_not_depend_on_the_chunks(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
) -> None:
    reference = digests(convert(source, tmp_path / "reference", report=True))
    monkeypatch.setattr(stream, "CHUNK_BYTES", chunk_bytes)
    assert digests(convert(source, tmp_path / "out", report=True)) == reference


def test_many_shards_hold_the_same_tensors(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = read_folder(convert(source, tmp_path / "one"))
    monkeypatch.setattr(plan, "SHARD_BYTES", 50_000)
    folder = convert(source, tmp_path / "many")
    files = sorted(folder.glob("model-*.safetensors"))
    assert len(files) > 5
    assert files[0].name == f"model-00001-of-{len(files):05}.safetensors"
    assert read_folder(folder) == one
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    assert index["weight_map"] == {name: file.name for file in files for name in read_raw(file)}
    assert index["metadata"]["total_size"] == sum(len(tensor.data) for tensor in one.values())
    open_checkpoint(folder)


def test_data_sections_start_on_a_page(source: Path, tmp_path: Path) -> None:
    for file in convert(source, tmp_path / "out").glob("*.safetensors"):
        with file.open("rb") as opened:
            assert (8 + int.from_bytes(opened.read(8), "little")) % 16384 == 0


def test_sixteen_bits_in_the_source_dtype_are_the_source_bits(source: Path, tmp_path: Path) -> None:
    kept = read_folder(convert(source, tmp_path / "out", bits=16))
    originals = read_folder(source)
    assert len(kept) == len(originals)
    for name, tensor in kept.items():
        original = originals[name.replace("vision_tower.vision_model.", "vision_tower.")]
        expected = original.floats()
        if expected.ndim == 4:
            expected = expected.transpose(0, 2, 3, 1)
        assert tensor.dtype == "BF16"
        np.testing.assert_array_equal(tensor.floats(), expected, err_msg=name)


@pytest.mark.parametrize("wanted", ["bfloat16", "float16", "float32"])
@pytest.mark.parametrize("stored", ["bfloat16", "float16", "float32"])
def test_every_dtype_from_every_dtype(tmp_path: Path, stored: str, wanted: str) -> None:
    source = write_source(tmp_path / "hf", dtype=getattr(mx, stored))
    folder = convert(source, tmp_path / "out", bits=16, dtype=wanted)
    config = json.loads((folder / "config.json").read_text())
    assert config["torch_dtype"] == wanted
    assert "quantization" not in config
    name = "language_model.model.layers.1.mlp.down_proj.weight"
    kept, original = read_folder(folder)[name], read_folder(source)[name].floats()
    assert kept.dtype == {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}[wanted]
    # half a unit in the last place of 8, 11 and 24 bits
    relative = {"bfloat16": 2.0**-8, "float16": 2.0**-11, "float32": 0}[wanted]
    np.testing.assert_allclose(kept.floats(), original, rtol=relative, atol=2.0**-25)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_scales_and_biases_and_norms_have_the_wanted_dtype(tmp_path: Path, dtype: str) -> None:
    source = write_source(tmp_path / "hf", dtype=mx.float32)
    tensors = read_folder(convert(source, tmp_path / "out", dtype=dtype))
    wanted = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}[dtype]
    assert {tensor.dtype for name, tensor in tensors.items()} == {"U32", wanted}
    assert tensors["language_model.lm_head.weight"].dtype == "U32"
    assert tensors["language_model.lm_head.scales"].dtype == wanted
    assert tensors["language_model.model.norm.weight"].dtype == wanted


@pytest.mark.parametrize("style", [4, 5])
def test_the_config_is_flat_and_complete(tmp_path: Path, style: int) -> None:
    config: dict[str, Any] = tiny_config(
        style=style, auto_map={"AutoModel": "code.py"}, _name_or_path="/home/someone/model"
    )
    source = write_source(tmp_path / "hf", config=config)
    written = json.loads((convert(source, tmp_path / "out") / "config.json").read_text())
    assert written["text_config"]["rope_theta"] == 1e9
    assert written["vision_config"]["rope_theta"] == 1e4
    assert written["tie_word_embeddings"] is False
    assert written["text_config"]["tie_word_embeddings"] is False
    assert written["image_token_index"] == 10
    text = json.dumps(written)
    for absent in ("rope_parameters", '"dtype"', "auto_map", "_name_or_path"):
        assert absent not in text
    packing = written["quantization"]
    assert {key: packing[key] for key in ("bits", "group_size", "mode")} == {
        "bits": 4, "group_size": 64, "mode": "affine"
    }  # fmt: skip
    exceptions = {path for path, value in packing.items() if value is False}
    assert len(exceptions) == 2 * 7 + 3
    assert all(path.startswith(("vision_tower.", "multi_modal_projector.")) for path in exceptions)


def test_progress_adds_up(source: Path, tmp_path: Path) -> None:
    events: list[Progress] = []
    convert(source, tmp_path / "out", progress=events.append)
    total = sum(len(tensor.data) for tensor in read_folder(source).values())
    steps = [event for event in events if event.stage is Stage.CONVERT]
    assert (steps[0].bytes_done, steps[-1].bytes_done) == (0, total)
    assert {event.bytes_total for event in steps} == {total}
    assert [event.bytes_done for event in steps] == sorted(event.bytes_done for event in steps)
    assert events[-1].stage is Stage.PUBLISH


def test_the_report_is_the_error_of_the_weights(source: Path, tmp_path: Path) -> None:
    folder = convert(source, tmp_path / "out", report=True)
    report = json.loads((folder / "report.json").read_text())
    originals, stored = read_folder(source), read_folder(folder)
    noise = signal = 0.0
    for name, measured in report["tensors"].items():
        path = name.removesuffix(".weight")
        codes, scales, biases = (
            stored[f"{path}.weight"].words(),
            stored[f"{path}.scales"].floats(),
            stored[f"{path}.biases"].floats(),
        )
        values = (codes[..., None] >> np.arange(0, 32, 4, dtype=np.uint32)) & 15
        exact = originals[name].floats().astype(np.float64)
        groups = values.reshape(*scales.shape, 64)
        read_back = (groups * scales[..., None] + biases[..., None]).reshape(exact.shape)
        error, size = ((read_back - exact) ** 2).sum(), (exact**2).sum()
        assert measured == pytest.approx(np.sqrt(error / size), rel=0.02), name
        noise, signal = noise + error, signal + size
    assert len(report["tensors"]) == 2 + 2 * 7
    assert report["whole"] == pytest.approx(np.sqrt(noise / signal), rel=0.01)
    assert 0.05 < report["whole"] < 0.15


def test_the_card_says_what_was_and_was_not_measured(source: Path, tmp_path: Path) -> None:
    card = (convert(source, tmp_path / "out") / "README.md").read_text()
    for part in ("Tiny-4bit", "every 64th row", "4 bits, groups of 64", "Not measured here", "lm_head"):
        assert part in card
    kept = (convert(source, tmp_path / "kept", bits=16) / "README.md").read_text()
    assert "Nothing is quantized" in kept


def test_a_group_size_that_does_not_divide_is_wrong_usage(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="groups of 128"):
        convert(source, tmp_path / "out", group_size=128)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("recipe", ["mxfp4", "mxfp8", "nvfp4", "8bit", "3bit", "5bit", "6bit", "4bit-g32"])
def test_every_recipe_makes_a_folder_that_opens(source: Path, tmp_path: Path, recipe: str) -> None:
    checkpoint = open_checkpoint(convert(source, tmp_path / "out", recipe=recipe))
    assert checkpoint.name == f"Tiny-{recipe}"
