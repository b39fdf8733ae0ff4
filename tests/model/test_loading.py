"""Loading is strict, casts once, reads once, and packed weights compute what their unpacked values would."""

from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import pytest
from mlx.utils import tree_flatten

from magistral_mlx.checkpoint.folder import open_checkpoint
from magistral_mlx.errors import CheckpointError, MemoryLimitError
from magistral_mlx.model import loading
from magistral_mlx.model.loading import load_model
from magistral_mlx.model.magistral import MagistralModel
from support.random_checkpoint import random_weights, tiny_config, write_converted

IDS = mx.array([[1, 3, 200, 300, 400, 4]])


def parameters(model: MagistralModel) -> dict[str, mx.array]:
    return dict(tree_flatten(model.parameters()))


@pytest.mark.parametrize("dtype", [None, mx.bfloat16])
def test_floats_get_one_dtype_and_codes_stay(tmp_path: Path, dtype: mx.Dtype | None) -> None:
    folder = write_converted(tmp_path / "m", bits=4, dtype=mx.float16)
    model = load_model(open_checkpoint(folder), dtype=dtype)
    # The suite runs on the CPU backend, where float32 is the fastest.
    kinds = {array.dtype for array in parameters(model).values()}
    assert kinds == {mx.uint32, dtype or mx.float32}
    assert model(IDS).dtype == (dtype or mx.float32)


def test_codes_of_mxfp4_and_their_scales_stay(tmp_path: Path) -> None:
    folder = write_converted(tmp_path / "m", bits=4, group_size=32, mode="mxfp4")
    head = load_model(open_checkpoint(folder)).language_model.lm_head
    assert (head.weight.dtype, head.scales.dtype) == (mx.uint32, mx.uint8)


def test_modules_are_quantized_as_the_folder_says(tmp_path: Path) -> None:
    model = load_model(open_checkpoint(write_converted(tmp_path / "m", bits=4)))
    assert isinstance(model.language_model.lm_head, nn.QuantizedLinear)
    assert isinstance(model.language_model.model.embed_tokens, nn.QuantizedEmbedding)
    assert isinstance(model.language_model.model.layers[1].mlp.down_proj, nn.QuantizedLinear)
    assert isinstance(model.multi_modal_projector.linear_1, nn.Linear)
    assert isinstance(model.vision_tower.vision_model.transformer.layers[0].attention.q_proj, nn.Linear)


@pytest.mark.parametrize(
    ("bits", "group_size", "mode"),
    [(4, 64, "affine"), (8, 32, "affine"), (3, 128, "affine"), (8, 32, "mxfp8")],
)
def test_packed_computes_what_its_unpacked_values_do(
    tmp_path: Path, bits: int, group_size: int, mode: str
) -> None:
    config = tiny_config()
    config["text_config"] |= {"hidden_size": 128, "intermediate_size": 256}
    weights = random_weights(config, dtype=mx.float32)
    packing: dict[str, Any] = {"bits": bits, "group_size": group_size, "mode": mode}
    packed = load_model(
        open_checkpoint(write_converted(tmp_path / "q", config=config, weights=weights, **packing))
    )
    unpacked = dict(weights)
    for name, array in weights.items():
        if name.startswith("language_model.") and array.ndim == 2:
            codes = mx.quantize(array, **packing)
            unpacked[name] = mx.dequantize(*codes, dtype=mx.float32, **packing)
    plain = load_model(open_checkpoint(write_converted(tmp_path / "p", config=config, weights=unpacked)))
    assert mx.abs(packed(IDS) - plain(IDS)).max().item() < 1e-4


def test_each_file_is_read_once_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = open_checkpoint(write_converted(tmp_path / "m", shards=3))
    read: list[str] = []
    load = mx.load

    def counted(path: str) -> object:
        read.append(Path(path).name)
        return load(path)

    monkeypatch.setattr(loading.mx, "load", counted)
    told: list[tuple[int, int]] = []
    load_model(checkpoint, progress=lambda done, total: told.append((done, total)))
    assert read == [file.name for file in checkpoint.weight_files]
    sizes = [file.stat().st_size for file in checkpoint.weight_files]
    assert told == [(sum(sizes[:count]), sum(sizes)) for count in range(4)]


def test_a_text_model_has_no_eyes(tmp_path: Path) -> None:
    folder = write_converted(tmp_path / "m", config=tiny_config(vision=False), bits=4)
    model = load_model(open_checkpoint(folder))
    assert model(IDS).shape == (1, 6, 1124)
    with pytest.raises(CheckpointError, match="no vision tower"):
        model.encode_image(mx.zeros((3, 28, 28)))


def test_a_file_gone_since_opening_is_named(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write_converted(tmp_path / "m"))
    checkpoint.weight_files[0].unlink()
    with pytest.raises(CheckpointError, match=r"model-00001-of-00001\.safetensors can't be read"):
        load_model(checkpoint)


def test_a_file_cut_since_opening_is_named(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write_converted(tmp_path / "m"))
    with checkpoint.weight_files[0].open("r+b") as file:
        file.truncate(100)
    with pytest.raises(CheckpointError, match=r"model-00001-of-00001\.safetensors can't be loaded"):
        load_model(checkpoint)


def test_too_little_memory_is_not_taken_for_a_damaged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = open_checkpoint(write_converted(tmp_path / "small"))

    def full(*_: object) -> None:
        raise RuntimeError("[metal::malloc] Unable to allocate 13000000000 bytes.")

    monkeypatch.setattr(loading.mx, "eval", full)
    with pytest.raises(MemoryLimitError, match="small does not fit into this machine's memory"):
        load_model(checkpoint)


@pytest.mark.parametrize("change", ["lost", "added", "reshaped"])
def test_tensors_changed_since_opening_are_refused(tmp_path: Path, change: str) -> None:
    """Strict: a tensor too few, too many or of another shape never loads."""
    weights = random_weights(tiny_config())
    checkpoint = open_checkpoint(write_converted(tmp_path / "m", weights=weights))
    name = "language_model.model.norm.weight"
    if change == "lost":
        del weights[name]
    else:
        weights[name if change == "reshaped" else "language_model.model.extra.weight"] = mx.ones(5)
    mx.save_safetensors(str(checkpoint.weight_files[0]), weights)
    with pytest.raises(CheckpointError, match="changed while it was read"):
        load_model(checkpoint)


@pytest.mark.parametrize(
    ("value", "told"), [(float("nan"), "no finite numbers"), (float("inf"), "no finite"), (0.0, "all zeros")]
)
@pytest.mark.parametrize("packing", [{"bits": 4}, {}])
def test_weights_without_numbers_are_told(
    tmp_path: Path, value: float, told: str, packing: dict[str, Any]
) -> None:
    folder = write_converted(tmp_path / "m", **packing)
    (file,) = folder.glob("*.safetensors")
    weights = dict(mx.load(str(file)))
    name = next(name for name in weights if name.endswith("lm_head.scales" if packing else "lm_head.weight"))
    broken = mx.zeros_like(weights[name])
    weights[name] = broken if value == 0 else mx.where(mx.arange(broken.shape[-1]) == 0, value, weights[name])
    mx.save_safetensors(str(file), weights, {"format": "mlx"})
    with pytest.raises(CheckpointError, match=f"{name}.*{told}"):
        load_model(open_checkpoint(folder))
