"""fp8 weights with their scales equal, to the byte, the float32 weights that they stand for."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from magistral_mlx.errors import MagistralError
from magistral_mlx_convert import convert
from magistral_mlx_convert.sources.float8 import E4M3
from magistral_mlx_convert.writing import stream
from support.hf_checkpoint import RawTensor, change_json, change_weights, digests
from support.native_checkpoint import write_native
from support.random_checkpoint import write_source

Scale = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""A matrix -> its stored scale, and the scale of every weight."""


def blocks_of(down: int, across: int) -> Scale:
    def scale(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows, columns = matrix.shape
        shape = math.ceil(rows / down), math.ceil(columns / across)
        stored = np.linspace(0.001, 0.02, math.prod(shape), dtype=np.float32).reshape(shape)
        return stored, np.kron(stored, np.ones((down, across), np.float32))[:rows, :columns]

    return scale


def per_row(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    stored = np.linspace(0.001, 0.02, matrix.shape[0], dtype=np.float32).reshape(-1, 1)
    return stored, stored


def whole(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    stored = np.array([0.0078125], np.float32)
    return stored, stored


def one_number(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.array(0.0078125, np.float32), np.array(0.0078125, np.float32)


LAYOUTS: dict[str, tuple[str, Scale, dict[str, Any]]] = {
    "blocks": (
        "_scale_inv",
        blocks_of(32, 48),
        {"quant_method": "fp8", "weight_block_size": [32, 48]},
    ),
    "whole, by Transformers": ("_scale_inv", one_number, {"quant_method": "fp8", "weight_block_size": None}),
    "rows, by compressed-tensors": ("_scale", per_row, {"quant_method": "compressed-tensors"}),
    "whole, by compressed-tensors": ("_scale", whole, {"quant_method": "compressed-tensors"}),
}


def pack(tensors: dict[str, RawTensor], suffix: str, scale: Scale) -> dict[str, RawTensor]:
    """Packs every matrix of the layers in place; gives the same tensors as the float32 they stand for."""
    plain: dict[str, RawTensor] = {}
    for name, tensor in list(tensors.items()):
        plain[name] = tensor
        if len(tensor.shape) != 2 or ".layers." not in name:
            continue
        stored, of_each = scale(tensor.floats())
        codes = mx.to_fp8(mx.array(tensor.floats() / of_each))
        values = np.array(mx.from_fp8(codes, mx.float32)) * of_each
        plain[name] = RawTensor("F32", tensor.shape, bytearray(values.astype(np.float32).tobytes()))
        tensors[name] = RawTensor("F8_E4M3", tensor.shape, bytearray(np.array(codes).tobytes()))
        scales = RawTensor("F32", list(stored.shape), bytearray(stored.tobytes()))
        tensors[f"{name}{suffix}"] = scales
        tensors[name.replace(".weight", ".input_scale")] = RawTensor("F32", [1], bytearray(4))
    return plain


def made_of(folder: Path, to: Path) -> dict[str, str]:
    files = digests(convert(folder, to))
    return {name: files[name] for name in files if name.endswith((".safetensors", "config.json"))}


def test_the_values_of_the_format() -> None:
    codes = mx.arange(256).astype(mx.uint8)
    np.testing.assert_array_equal(E4M3, np.array(mx.from_fp8(codes, mx.float32)))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_packed_weights_equal_their_float32(
    tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    suffix, scale, packing = LAYOUTS[layout]
    packed, plain = write_source(tmp_path / "packed"), write_source(tmp_path / "plain")
    values: dict[str, RawTensor] = {}
    change_weights(packed, lambda tensors: values.update(pack(tensors, suffix, scale)))
    change_weights(plain, lambda tensors: tensors.update(values))
    change_json(packed / "config.json", lambda config: config.update(quantization_config=packing))
    wanted = made_of(plain, tmp_path / "one")
    assert made_of(packed, tmp_path / "two") == wanted
    monkeypatch.setattr(stream, "CHUNK_BYTES", 3 * 64 * 4)
    assert made_of(packed, tmp_path / "three") == wanted


def test_a_native_checkpoint_in_fp8(tmp_path: Path) -> None:
    packed, plain = write_source(tmp_path / "packed"), write_source(tmp_path / "plain")
    values: dict[str, RawTensor] = {}
    change_weights(packed, lambda tensors: values.update(pack(tensors, "_unused", whole)))
    change_weights(plain, lambda tensors: tensors.update(values))
    for name in ("packed", "plain"):
        folder = tmp_path / name
        change_weights(folder, lambda tensors: [tensors.pop(key) for key in list(tensors) if "_unused" in key
                                                or key.endswith("input_scale")])  # fmt: skip
        write_native(tmp_path / f"native-{name}", folder)
    # Mistral's own file has the scale of a whole matrix beside it.
    native = tmp_path / "native-packed"
    (native / "consolidated.safetensors").rename(native / "model.safetensors")
    change_weights(native, add_scales)
    (native / "model.safetensors").rename(native / "consolidated.safetensors")
    (native / "model.safetensors.index.json").unlink()
    assert made_of(native, tmp_path / "one") == made_of(tmp_path / "native-plain", tmp_path / "two")


def add_scales(tensors: dict[str, RawTensor]) -> None:
    for name in [name for name, tensor in tensors.items() if tensor.dtype == "F8_E4M3"]:
        path = name.removesuffix("weight")
        scale = RawTensor("F32", [], bytearray(np.float32(0.0078125).tobytes()))
        tensors |= {f"{path}qscale_weight": scale, f"{path}qscale_act": scale}


def spoiled(folder: Path, change: Callable[[dict[str, RawTensor]], object]) -> Path:
    write_source(folder)
    change_weights(folder, lambda tensors: (pack(tensors, "_scale_inv", whole), change(tensors)))
    return folder


NAME = "language_model.model.layers.0.mlp.up_proj.weight"


def test_a_missing_scale_is_named(tmp_path: Path) -> None:
    source = spoiled(tmp_path / "hf", lambda tensors: tensors.pop(f"{NAME}_scale_inv"))
    with pytest.raises(MagistralError, match=f"holds {NAME} in fp8 without its scale"):
        convert(source, tmp_path / "out")


def test_a_scale_of_an_impossible_shape_is_named(tmp_path: Path) -> None:
    source = spoiled(
        tmp_path / "hf",
        lambda tensors: tensors.update({f"{NAME}_scale_inv": RawTensor("F32", [3, 5], bytearray(60))}),
    )
    with pytest.raises(MagistralError, match=rf"{NAME}_scale_inv .*\[3, 5\], which fits no scale"):
        convert(source, tmp_path / "out")


def test_a_code_that_is_no_number_is_named(tmp_path: Path) -> None:
    def spoil(tensors: dict[str, RawTensor]) -> None:
        tensors[NAME].data[64 * 5] = 0x7F

    source = spoiled(tmp_path / "hf", spoil)
    with pytest.raises(MagistralError, match=f"{NAME} .*not finite, in row 5"):
        convert(source, tmp_path / "out")


def test_another_packing_is_refused(tmp_path: Path) -> None:
    source = write_source(tmp_path / "hf")
    change_json(
        source / "config.json", lambda config: config.update(quantization_config={"quant_method": "awq"})
    )
    with pytest.raises(MagistralError, match="packed with 'awq'"):
        convert(source, tmp_path / "out")


def test_the_config_of_the_result_names_no_foreign_packing(tmp_path: Path) -> None:
    source = spoiled(tmp_path / "hf", lambda tensors: None)
    change_json(
        source / "config.json", lambda config: config.update(quantization_config={"quant_method": "fp8"})
    )
    config = json.loads((convert(source, tmp_path / "out") / "config.json").read_text())
    assert "quantization_config" not in config
