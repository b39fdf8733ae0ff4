"""MLX conversions of others: completed as they are, byte by byte; packed anew only where it is wanted."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

import magistral_mlx as mm
from magistral_mlx.checkpoint.config import Quantization
from magistral_mlx.checkpoint.folder import open_checkpoint
from magistral_mlx.errors import MagistralError, UsageError
from magistral_mlx_convert import convert
from magistral_mlx_convert.report.later import report_on
from magistral_mlx_convert.sources.mlx_folder import scales_of, unpacked
from magistral_mlx_convert.writing import stream
from support.gguf_checkpoint import _vocabulary
from support.hf_checkpoint import RawTensor, change_json, change_weights, digests, read_folder
from support.random_checkpoint import tiny_config, write_converted, write_source
from support.tekken import tekken_document


def write_foreign(folder: Path, **options: Any) -> Path:
    """What mlx-community has: tokenizer.json alone, no system prompt, the packing under both names."""
    write_converted(folder, **{"bits": 4, "shards": 2} | options)
    tokens = _vocabulary(folder)
    pairs = list(zip(tokens["tokenizer.ggml.tokens"], tokens["tokenizer.ggml.token_type"], strict=True))
    tokenizer = {
        "added_tokens": [
            {"id": rank, "content": token, "special": True}
            for rank, (token, kind) in enumerate(pairs)
            if kind == 3
        ],
        "model": {
            "type": "BPE",
            "vocab": {token: rank for rank, (token, _) in enumerate(pairs)},
            "merges": [],
        },
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tekken.json").unlink()
    (folder / "SYSTEM_PROMPT.txt").unlink()

    def both_names(config: dict[str, Any]) -> None:
        if "quantization" in config:
            config["quantization_config"] = config["quantization"]

    change_json(folder / "config.json", both_names)
    return folder


def same_tensors(one: dict[str, RawTensor], two: dict[str, RawTensor]) -> bool:
    return one == two


@pytest.mark.parametrize(
    "packing",
    [
        {},
        {"bits": 8, "group_size": 32},
        {"mode": "mxfp4", "group_size": 32},
        {"mode": "nvfp4", "group_size": 16},
    ],
    ids=str,
)
def test_it_is_completed_and_its_weights_are_kept(tmp_path: Path, packing: dict[str, Any]) -> None:
    source = write_foreign(tmp_path / "Tiny-4bit", **packing)
    notes: list[str] = []
    folder = convert(source, tmp_path / "out", progress=lambda event: notes.append(event.note))
    assert same_tensors(read_folder(folder), read_folder(source))
    checkpoint = open_checkpoint(folder)
    assert checkpoint.name == "Tiny-4bit"
    assert checkpoint.manifest is not None
    assert checkpoint.system_prompt
    assert json.loads((folder / "tekken.json").read_text()) == tekken_document()
    assert checkpoint.config.quantization == open_checkpoint(write_converted(
        tmp_path / "wanted", **{"bits": 4} | packing)).config.quantization  # fmt: skip
    assert "The packed weights are kept as they are" in notes
    assert "The source has no tekken.json: it is rebuilt from the tokens in tokenizer.json" in notes
    assert "byte by byte" in (folder / "README.md").read_text()
    with mm.load(folder) as model:
        assert model.ask("Hi", max_tokens=2, temperature=0).stats.prompt_tokens > 20


def test_the_bytes_do_not_depend_on_the_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_foreign(tmp_path / "mlx")
    whole = digests(convert(source, tmp_path / "one"))
    monkeypatch.setattr(stream, "CHUNK_BYTES", 100)
    assert digests(convert(source, tmp_path / "two")) == whole


def test_the_nested_rotary_base_of_transformers_5_becomes_flat(tmp_path: Path) -> None:
    source = write_foreign(tmp_path / "mlx", config=tiny_config(style=5))
    config = json.loads((convert(source, tmp_path / "out") / "config.json").read_text())
    assert config["text_config"]["rope_theta"] == 1e9
    assert config["vision_config"]["rope_theta"] == 1e4
    assert "rope_parameters" not in config["text_config"]
    assert "quantization_config" not in config


def test_a_head_that_stayed_unpacked(tmp_path: Path) -> None:
    source, whole = write_foreign(tmp_path / "mlx", shards=1), write_converted(tmp_path / "bf16")
    head = "language_model.lm_head"
    plain = read_folder(whole)[f"{head}.weight"]

    def change(tensors: dict[str, RawTensor]) -> None:
        del tensors[f"{head}.scales"], tensors[f"{head}.biases"]
        tensors[f"{head}.weight"] = plain

    change_weights(source, change)
    folder = convert(source, tmp_path / "out")
    assert same_tensors(read_folder(folder), read_folder(source))
    assert json.loads((folder / "config.json").read_text())["quantization"][head] is False
    mm.load(folder).close()


def test_a_module_with_a_packing_of_its_own(tmp_path: Path) -> None:
    source = write_foreign(tmp_path / "mlx", shards=1)
    path = "language_model.model.embed_tokens"
    plain = read_folder(write_converted(tmp_path / "bf16"))[f"{path}.weight"]
    packed = mx.quantize(mx.array(plain.floats()).astype(mx.bfloat16), group_size=32, bits=6)

    def change(tensors: dict[str, RawTensor]) -> None:
        for name, array in zip((f"{path}.weight", f"{path}.scales", f"{path}.biases"), packed, strict=True):
            dtype = "U32" if array.dtype == mx.uint32 else "BF16"
            tensors[name] = RawTensor(dtype, list(array.shape), bytearray(memoryview(array.view(mx.uint8))))  # type: ignore[arg-type]

    change_weights(source, change)
    own = {"bits": 6, "group_size": 32}
    change_json(source / "config.json", lambda config: config["quantization"].update({path: own}))  # type: ignore[attr-defined]
    folder = convert(source, tmp_path / "out")
    table = json.loads((folder / "config.json").read_text())["quantization"]
    assert table[path] == {"bits": 6, "group_size": 32, "mode": "affine"}
    assert not any(key.endswith((".scales", ".biases")) for key in table)
    mm.load(folder).close()


def test_a_text_model_of_mlx_lm(tmp_path: Path) -> None:
    source = write_foreign(tmp_path / "mlx", config=tiny_config(vision=False), shards=1)

    def rename(tensors: dict[str, RawTensor]) -> None:
        for name in list(tensors):
            tensors[name.removeprefix("language_model.")] = tensors.pop(name)

    def flatten(config: dict[str, Any]) -> None:
        table = {"bits": 4, "group_size": 64, "mode": "affine", "lm_head": {"bits": 4, "group_size": 64}}
        text = config["text_config"]
        config.clear()
        config.update(text, architectures=["MistralForCausalLM"], quantization=table)

    before = read_folder(source)
    change_weights(source, rename)
    change_json(source / "config.json", flatten)
    folder = convert(source, tmp_path / "out")
    assert same_tensors(read_folder(folder), before)
    assert not mm.load(folder).sees


def test_eyes_that_mlx_lm_left_out_are_not_promised(tmp_path: Path) -> None:
    source = write_foreign(tmp_path / "mlx", shards=1)
    change_weights(source, lambda tensors: [
        tensors.pop(name) for name in list(tensors) if not name.startswith("language_model.")
    ])  # fmt: skip
    notes: list[str] = []
    folder = convert(source, tmp_path / "out", progress=lambda event: notes.append(event.note))
    assert open_checkpoint(folder).config.vision is None
    assert "The conversion left the vision tower out: it will not see images" in notes


def test_an_unpacked_conversion_is_a_source_like_any_other(tmp_path: Path) -> None:
    source = write_foreign(tmp_path / "mlx", bits=16)
    original = write_source(tmp_path / "hf")
    one, two = convert(source, tmp_path / "one", bits=4), convert(original, tmp_path / "two")
    assert same_tensors(read_folder(one), read_folder(two))


def test_packing_anew_wants_force_and_warns(tmp_path: Path) -> None:
    source = write_foreign(tmp_path / "mlx")
    for options in ({"bits": 8}, {"recipe": "8bit"}, {"group_size": 32}):
        with pytest.raises(UsageError, match="mlx is packed in 4 bits already"):
            convert(source, tmp_path / "out", **options)  # type: ignore[arg-type]  # three kinds of options
    notes: list[str] = []
    folder = convert(
        source, tmp_path / "out", bits=16, force=True, progress=lambda event: notes.append(event.note)
    )
    assert any("what that lost stays lost" in note for note in notes)
    packed, plain = read_folder(source), read_folder(folder)
    name = "language_model.model.layers.1.mlp.down_proj"
    parts = [packed[f"{name}.{part}"] for part in ("scales", "biases")]
    codes = mx.array(packed[f"{name}.weight"].words())
    wanted = mx.dequantize(codes, *(mx.array(part.floats()) for part in parts), group_size=64, bits=4)
    np.testing.assert_array_equal(
        plain[f"{name}.weight"].floats(), np.array(wanted.astype(mx.bfloat16).astype(mx.float32))
    )
    assert packed["vision_tower.vision_model.patch_conv.weight"].data == (
        plain["vision_tower.vision_model.patch_conv.weight"].data
    )


PACKINGS = [
    *(Quantization(bits, group, "affine") for bits in (2, 3, 4, 5, 6, 8) for group in (32, 64)),
    Quantization(4, 32, "mxfp4"),
    Quantization(8, 32, "mxfp8"),
    Quantization(4, 16, "nvfp4"),
]


@pytest.mark.parametrize("packing", PACKINGS, ids=str)
def test_unpacking_is_that_of_mlx(packing: Quantization) -> None:
    weights = mx.random.normal((5, 128), key=mx.random.key(packing.bits))
    codes, scales, *biases = mx.quantize(weights, packing.group_size, packing.bits, packing.mode)
    wanted = mx.dequantize(
        codes, scales, *biases, group_size=packing.group_size, bits=packing.bits, mode=packing.mode
    )
    ours = unpacked(
        np.array(codes).view(np.uint8),
        np.array(scales) if packing.mode == "affine" else scales_of(np.array(scales), packing),
        np.array(biases[0]) if biases else None,
        packing,
    )
    # MLX unpacks the small floats in the scales' own precision.
    tolerance = 1e-6 if packing.mode == "affine" else 1e-2
    np.testing.assert_allclose(ours, np.array(wanted.astype(mx.float32)), rtol=tolerance, atol=1e-7)


Spoil = Callable[[Path], object]


def drop(name: str) -> Spoil:
    return lambda folder: change_weights(folder, lambda tensors: tensors.pop(name))


def add(name: str) -> Spoil:
    extra = RawTensor("BF16", [2], bytearray(4))
    return lambda folder: change_weights(folder, lambda tensors: tensors.update({name: extra}))


SPOILED: dict[str, tuple[Spoil, str]] = {
    "biases are missing": (
        drop("language_model.model.layers.0.mlp.up_proj.biases"),
        r"mlx lacks language_model\.model\.layers\.0\.mlp\.up_proj\.biases",
    ),
    "a weight is missing": (drop("language_model.model.norm.weight"), r"mlx lacks .*model\.norm\.weight"),
    "an unknown tensor": (add("language_model.extra.weight"), r"holds language_model\.extra\.weight"),
    "other bits than the config says": (
        lambda folder: change_json(
            folder / "config.json",
            lambda config: config["quantization"].update(bits=8),  # type: ignore[attr-defined]
        ),
        r"embed_tokens\.weight in .* is U32 .* but config\.json asks for U32",
    ),
    "no tokenizer at all": (
        lambda folder: (folder / "tokenizer.json").unlink(),
        r"mlx holds no tekken\.json\. .*--tokenizer",
    ),
    "another tokenizer": (
        lambda folder: (folder / "tokenizer.json").write_text(
            '{"model": {"vocab": {"a": 0}}, "added_tokens": []}'
        ),
        r"tokenizer\.json holds no Tekken tokenizer",
    ),
    "a tokenizer with holes": (
        lambda folder: (folder / "tokenizer.json").write_text(
            '{"model": {"vocab": {"a": 7}}, "added_tokens": []}'
        ),
        r"tokenizer\.json leaves ids without a token",
    ),
    "no tokenizer.json": (
        lambda folder: (folder / "tokenizer.json").write_text("[]"),
        r"tokenizer\.json is not a JSON object",
    ),
}


@pytest.mark.parametrize("case", SPOILED)
def test_a_spoiled_folder_is_named(tmp_path: Path, case: str) -> None:
    source = write_foreign(tmp_path / "mlx", shards=1)
    spoil, complaint = SPOILED[case]
    spoil(source)
    with pytest.raises(MagistralError, match=complaint) as caught:
        convert(source, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert caught.value.remedy
    assert [path.name for path in tmp_path.iterdir()] == ["mlx"]


def test_our_own_conversion_can_be_completed_too(tmp_path: Path) -> None:
    ours = convert(write_source(tmp_path / "hf"), tmp_path / "ours")
    shutil.rmtree(tmp_path / "hf")
    (ours / "SYSTEM_PROMPT.txt").unlink()
    (ours / "magistral-mlx.json").unlink()
    folder = convert(ours, tmp_path / "out")
    assert same_tensors(read_folder(folder), read_folder(ours))
    assert open_checkpoint(folder).system_prompt


def by_mlx_vlm(source: Path, folder: Path) -> Path:
    """With mlx-vlm's own choice, which leaves lm_head in bf16."""
    import mlx_vlm.utils
    from mlx_vlm.quant_utils import quantize_model

    model: Any = mlx_vlm.utils.load_model(source, lazy=True)
    config = json.loads((source / "config.json").read_text())
    model, config = quantize_model(
        model, config, group_size=64, bits=4, quant_predicate=getattr(model, "quant_predicate", None)
    )
    folder.mkdir()
    mlx_vlm.utils.save_weights(folder, model, donate_weights=True)
    mlx_vlm.utils.save_config(config, config_path=folder / "config.json")
    return folder


def by_mlx_lm(source: Path, folder: Path) -> Path:
    """Which leaves the eyes out."""
    import mlx_lm.utils

    model, config = mlx_lm.utils.load_model(source, lazy=True)
    model, config = mlx_lm.utils.quantize_model(model, config, group_size=64, bits=4)
    mlx_lm.utils.save_model(folder, model, donate_model=True)
    mlx_lm.utils.save_config(config, config_path=folder / "config.json")
    return folder


@pytest.mark.parametrize(("write", "sees"), [(by_mlx_vlm, True), (by_mlx_lm, False)])
def test_what_the_converters_themselves_write(
    tmp_path: Path, write: Callable[[Path, Path], Path], sees: bool
) -> None:
    original = write_source(tmp_path / "hf")
    source = write(original, tmp_path / "theirs")
    folder = convert(source, tmp_path / "out", tokenizer=original / "tekken.json")
    assert same_tensors(read_folder(folder), read_folder(source))
    table = json.loads((folder / "config.json").read_text())["quantization"]
    assert table.get("language_model.lm_head") is (False if sees else None)
    with mm.load(folder) as model:
        assert model.sees is sees
        assert model.ask("Hi", max_tokens=2, temperature=0).stats.prompt_tokens > 20


def test_a_report_compares_a_kept_folder_with_its_source(tmp_path: Path) -> None:
    source = write_foreign(tmp_path / "mlx")
    folder = convert(source, tmp_path / "out")
    errors, comparison = report_on(folder, str(source), revision=None, progress=lambda _: None)
    assert errors.whole in (None, 0.0)
    assert comparison.whole.mean_kl == 0.0
