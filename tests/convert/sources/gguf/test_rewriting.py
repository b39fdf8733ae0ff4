"""GGUF codes taken over: every type against the library's own dequantizer, and whole files."""

import json
from pathlib import Path

import gguf
import mlx.core as mx
import numpy as np
import pytest
from gguf import GGMLQuantizationType

import magistral_mlx as mm
from magistral_mlx.errors import ConversionError
from magistral_mlx_convert import Progress, convert
from magistral_mlx_convert.sources.gguf.codes import code_bits
from magistral_mlx_convert.sources.gguf.rewriting import rewritten
from support.gguf_checkpoint import gguf_name, tensors_of, write_eye, write_text
from support.hf_checkpoint import read_folder
from support.random_checkpoint import tiny_config, write_source

BLOCK_BYTES = {"Q4_0": 18, "Q4_1": 20, "Q5_0": 22, "Q5_1": 24, "Q8_0": 34, "Q4_K": 144, "Q5_K": 176}
MLX_DTYPES = {"BF16": mx.bfloat16, "F16": mx.float16, "F32": mx.float32}
WORST = {"BF16": 0.006, "F16": 0.001, "F32": 0.0}


def random_blocks(kind: str, rows: int, blocks: int) -> np.ndarray:
    """Any bits are codes; scales and minima are drawn as large as those of weights."""
    rng = np.random.default_rng(list(kind.encode()))
    packed = rng.integers(0, 256, (rows, blocks, BLOCK_BYTES[kind]), dtype=np.uint8)
    packed[:, :, 0:2] = rng.uniform(0.001, 0.02, (rows, blocks, 1)).astype("<f2").view(np.uint8)
    if kind in ("Q4_1", "Q5_1", "Q4_K", "Q5_K"):
        packed[:, :, 2:4] = rng.uniform(0, 0.02, (rows, blocks, 1)).astype("<f2").view(np.uint8)
    return packed.reshape(rows, -1)


@pytest.mark.parametrize("dtype", WORST)
@pytest.mark.parametrize("kind", BLOCK_BYTES)
def test_a_type_comes_back_as_the_library_unpacks_it(kind: str, dtype: str) -> None:
    packed = random_blocks(kind, 6, 3)
    wanted = gguf.quants.dequantize(packed, GGMLQuantizationType[kind])
    stored = rewritten(packed, kind, dtype=dtype, skip=0, step=1)
    words = mx.array(stored.words).view(mx.uint32)
    scales, biases = (
        mx.array(each).view(MLX_DTYPES[dtype]).astype(mx.float32) for each in (stored.scales, stored.biases)
    )
    values = np.array(mx.dequantize(words, scales, biases, 32, code_bits(kind)))
    noise, signal = np.square(values - wanted).sum(axis=1), np.square(wanted).sum(axis=1)
    assert np.sqrt(noise.sum() / signal.sum()) <= WORST[dtype]
    np.testing.assert_allclose(stored.noise, noise, rtol=1e-3, atol=1e-9)
    np.testing.assert_allclose(stored.signal, signal, rtol=1e-4)


def test_rows_are_measured_wherever_the_pieces_end(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = random_blocks("Q4_K", 40, 1)
    whole = rewritten(packed, "Q4_K", dtype="BF16", skip=3, step=7)
    monkeypatch.setattr("magistral_mlx_convert.sources.gguf.rewriting._AT_A_TIME", 5 * 144)
    parts = rewritten(packed, "Q4_K", dtype="BF16", skip=3, step=7)
    assert (whole.noise, whole.signal) == (parts.noise, parts.signal)
    assert len(whole.noise) == 6
    np.testing.assert_array_equal(whole.words, parts.words)


def test_types_without_blocks_of_32_are_not_rewritten() -> None:
    assert [code_bits(kind) for kind in ("Q6_K", "Q3_K", "IQ4_XS", "F16")] == [None] * 4


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_source(tmp_path / "hf")


def write_folder(folder: Path, source: Path, kind: str) -> Path:
    write_text(folder / f"tiny-{kind}.gguf", source, kind=kind)
    write_eye(folder / "mmproj-tiny.gguf", source)
    return folder


def unpacked_matrices(folder: Path) -> dict[str, np.ndarray]:
    table = json.loads((folder / "config.json").read_text())["quantization"]
    stored = {name: mx.array(0) for name in ()} | dict(mx.load(str(next(folder.glob("*.safetensors")))))
    values: dict[str, np.ndarray] = {}
    for name in stored:
        if name.endswith(".scales"):
            path = name.removesuffix(".scales")
            own = table.get(path, table)
            parts = (stored[f"{path}.scales"], stored[f"{path}.biases"])
            scales, biases = (part.astype(mx.float32) for part in parts)
            values[path] = np.array(
                mx.dequantize(stored[f"{path}.weight"], scales, biases, own["group_size"], own["bits"])
            )
    return values


@pytest.mark.parametrize(("kind", "bits"), [("Q4_0", 4), ("Q5_1", 5), ("Q8_0", 8)])
def test_a_file_is_converted_to_its_own_values(source: Path, tmp_path: Path, kind: str, bits: int) -> None:
    folder = convert(write_folder(tmp_path / "gguf", source, kind), tmp_path / "out")
    config = json.loads((folder / "config.json").read_text())
    assert config["quantization"]["bits"] == bits
    assert config["quantization"]["group_size"] == 32
    values = unpacked_matrices(folder)
    # With `--bits 16` the file is unpacked by the library, rows of queries and keys in order.
    plain = convert(tmp_path / "gguf", tmp_path / "plain", bits=16, dtype="float32")
    exact = {name.removesuffix(".weight"): tensor.floats() for name, tensor in read_folder(plain).items()}
    assert len(values) > 10
    for path, got in values.items():
        off = np.sqrt(np.square(got - exact[path]).sum() / np.square(exact[path]).sum())
        assert off < 0.006, path
    with mm.load(folder) as model:
        assert model.ask("What is 1 + 1?", max_tokens=2) is not None


def test_bits_that_are_asked_for_are_given(source: Path, tmp_path: Path) -> None:
    folder = convert(write_folder(tmp_path / "gguf", source, "Q8_0"), tmp_path / "out", bits=4)
    assert json.loads((folder / "config.json").read_text())["quantization"]["group_size"] == 64


def test_a_file_that_is_not_packed_gets_the_usual_recipe(source: Path, tmp_path: Path) -> None:
    folder = convert(write_folder(tmp_path / "gguf", source, "BF16"), tmp_path / "out")
    assert json.loads((folder / "magistral-mlx.json").read_text())["recipe"]["name"] != "as-in-file"


def test_other_types_get_eight_bits_and_it_is_said(tmp_path: Path) -> None:
    source = write_source(tmp_path / "hf")
    events: list[Progress] = []
    folder = convert(
        write_folder(tmp_path / "gguf", source, "MXFP4"), tmp_path / "out", progress=events.append
    )
    assert json.loads((folder / "config.json").read_text())["quantization"]["bits"] == 8
    assert any("get 8 bits" in event.note for event in events)


def test_a_spoiled_scale_is_named(source: Path, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "gguf", source, "Q4_0")
    file = folder / "tiny-Q4_0.gguf"
    found = next(t for t in gguf.GGUFReader(file).tensors if t.name == gguf_name(
        "language_model.model.layers.0.mlp.up_proj.weight"))  # fmt: skip
    data = bytearray(file.read_bytes())
    data[found.data_offset : found.data_offset + 2] = b"\x00\x7e"  # not a number
    file.write_bytes(data)
    with pytest.raises(ConversionError, match=r"ffn_up\.weight .* row 0"):
        convert(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_k_types_of_a_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_config()
    text = config["text_config"]
    text |= {"hidden_size": 256, "intermediate_size": 256, "head_dim": 64, "num_attention_heads": 4}
    source = write_source(tmp_path / "hf", config=config)
    kept: dict[str, np.ndarray] = {}

    def as_blocks(array: np.ndarray, packed: GGMLQuantizationType) -> np.ndarray:
        if packed is not GGMLQuantizationType.Q4_K:
            return gguf.quants.__dict__["_plain_quantize"](array, packed)
        blocks = random_blocks("Q4_K", array.shape[0], array.shape[1] // 256)
        kept[str(len(kept))] = gguf.quants.dequantize(blocks, packed)
        return blocks

    monkeypatch.setattr(gguf.quants, "_plain_quantize", gguf.quants.quantize, raising=False)
    monkeypatch.setattr(gguf.quants, "quantize", as_blocks)
    write_text(tmp_path / "gguf" / "tiny-Q4_K.gguf", source, kind="Q4_K")
    names = [n for n, a in tensors_of(source).items() if n.startswith("language_model.") and a.ndim == 2]
    exact = dict(zip(names, kept.values(), strict=True))
    values = unpacked_matrices(convert(tmp_path / "gguf", tmp_path / "out"))
    assert len(values) == len(names)
    for name in names:
        got, wanted = values[name.removesuffix(".weight")], exact[name]
        if "q_proj" in name or "k_proj" in name:  # rows are put in another order
            got, wanted = np.sort(got, axis=0), np.sort(wanted, axis=0)
        off = np.sqrt(np.square(got - wanted).sum() / np.square(wanted).sum())
        assert off < 0.006, name
