"""mlx-lm and mlx-vlm: our bytes are theirs wherever both quantize, and both load and run our folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm.utils
import mlx_vlm.utils
import pytest
from mlx_vlm.quant_utils import quantize_model

from magistral_mlx.checkpoint.folder import open_checkpoint
from magistral_mlx.model.loading import load_model
from magistral_mlx_convert import convert
from magistral_mlx_convert.planning.recipe import NAMES
from magistral_mlx_convert.quantize import calibration_text
from support.random_checkpoint import tiny_config, write_source

Weights = dict[str, mx.array]


def load_weights(folder: Path) -> Weights:
    return {
        name: array
        for file in folder.glob("*.safetensors")
        for name, array in dict[str, mx.array](mx.load(str(file))).items()  # type: ignore[call-overload]
    }


def converted_by_mlx_lm(source: Path, folder: Path, **packing: Any) -> Weights:
    model, config = mlx_lm.utils.load_model(source, lazy=True)
    model.set_dtype(mx.bfloat16)
    model, _ = mlx_lm.utils.quantize_model(model, config, **packing)
    mlx_lm.utils.save_model(folder, model, donate_model=True)
    return load_weights(folder)


def converted_by_mlx_vlm(source: Path, folder: Path, **packing: Any) -> Weights:
    def all_of_the_text_model(path: str, _: object) -> bool:
        # mlx-vlm's own predicate leaves lm_head in 16 bit; everything else is its choice
        return not mlx_vlm.utils.skip_multimodal_module(path)

    model: Any = mlx_vlm.utils.load_model(source, lazy=True)
    model, _ = quantize_model(model, {}, **packing, quant_predicate=all_of_the_text_model)
    mlx_vlm.utils.save_weights(folder, model, donate_weights=True)
    return load_weights(folder)


def same_bytes(ours: mx.array, theirs: mx.array) -> bool:
    return (
        ours.dtype == theirs.dtype
        and ours.shape == theirs.shape
        and bool(mx.array_equal(ours.view(mx.uint8), theirs.view(mx.uint8)))
    )


@pytest.mark.parametrize("peer", [converted_by_mlx_lm, converted_by_mlx_vlm])
@pytest.mark.parametrize(
    "packing",
    [
        {"bits": 4, "group_size": 64, "mode": "affine"},
        {"bits": 8, "group_size": 32, "mode": "affine"},
        {"bits": 3, "group_size": 64, "mode": "affine"},
        {"bits": 4, "group_size": 32, "mode": "mxfp4"},
        {"bits": 4, "group_size": 16, "mode": "nvfp4"},
    ],
    ids=lambda packing: f"{packing['mode']}{packing['bits']}",
)
def test_our_bytes_are_theirs(tmp_path: Path, peer: Callable[..., Weights], packing: dict[str, Any]) -> None:
    source = write_source(tmp_path / "hf", shards=2)
    theirs = peer(source, tmp_path / "theirs", **packing)
    ours = load_weights(convert(source, tmp_path / "ours", **packing))
    text = {name for name in ours if name.startswith("language_model.")}
    assert set(theirs) == (text if peer is converted_by_mlx_lm else set(ours))
    assert not [name for name, array in theirs.items() if not same_bytes(ours[name], array)]


@pytest.mark.parametrize(
    "arguments",
    [
        {"bits": 16, "dtype": "float32"},
        *({"recipe": name} for name in NAMES),
        {"recipe": "5bit", "vision_bits": 6},
        {"recipe": "mxfp4", "vision_bits": 8},
    ],
    ids=lambda arguments: "-".join(map(str, arguments.values())),
)
def test_both_load_our_folder_and_agree(
    tmp_path: Path, arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration_text, "MOST_WINDOWS", 4)
    source = write_source(tmp_path / "hf", config=tiny_config(style=5))
    folder = convert(source, tmp_path / "ours", **arguments)
    ids = mx.array([[1, 3, 700, 801, 4]])
    text_model, _ = mlx_lm.utils.load_model(folder)
    vision_model: Any = mlx_vlm.utils.load_model(folder)
    by_mlx_lm = text_model(ids)
    by_mlx_vlm = vision_model.language_model(ids).logits
    assert mx.array_equal(by_mlx_lm, by_mlx_vlm)
    assert mx.all(mx.isfinite(by_mlx_lm.astype(mx.float32)))
    assert mx.std(by_mlx_lm.astype(mx.float32)).item() > 0.1
    ours = load_model(open_checkpoint(folder), dtype=by_mlx_lm.dtype)(ids)
    assert mx.array_equal(ours, by_mlx_lm)


def test_mlx_vlm_sees_with_our_folder_what_it_sees_with_the_source(tmp_path: Path) -> None:
    source = write_source(tmp_path / "hf")
    folder = convert(source, tmp_path / "ours")
    pixels = mx.random.normal((1, 28, 42, 3), key=mx.random.key(1)).astype(mx.bfloat16)
    original: Any = mlx_vlm.utils.load_model(source)
    converted: Any = mlx_vlm.utils.load_model(folder)
    assert mx.array_equal(original.vision_tower(pixels)[0], converted.vision_tower(pixels)[0])
