"""GGUF files, with and without their vision part: the bytes or the values that they stand for."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import mlx.core as mx
import numpy as np
import pytest
from PIL import Image

import magistral_mlx as mm
from magistral_mlx.checkpoint.folder import open_checkpoint
from magistral_mlx.errors import MagistralError
from magistral_mlx.storage.units import format_disk
from magistral_mlx_convert import convert
from magistral_mlx_convert.sources.gguf.header import TYPES, read_gguf_header
from magistral_mlx_convert.writing import stream
from support.gguf_checkpoint import write_eye, write_text
from support.hf_checkpoint import change_weights, digests, read_folder
from support.predecessors import PROMPT_1_0, as_predecessor
from support.random_checkpoint import tiny_config, write_source


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_source(tmp_path / "hf")


def write_both(folder: Path, source: Path, *, kind: str = "BF16", architecture: str = "llama") -> Path:
    write_text(folder / f"Tiny-{kind}.gguf", source, kind=kind, architecture=architecture)
    write_eye(folder / f"mmproj-Tiny-{kind}.gguf", source, kind=kind)
    return folder


def made_of(source: Path, to: Path, **options: Any) -> dict[str, str]:
    """Digests of what must not depend on the format of the source."""
    files = digests(convert(source, to, **options))
    return {name: files[name] for name in files if name not in ("README.md", "magistral-mlx.json")}


@pytest.mark.parametrize("architecture", ["llama", "mistral3"])
def test_bf16_gives_the_bytes_of_the_hugging_face_files(
    source: Path, tmp_path: Path, architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source / "SYSTEM_PROMPT.txt").unlink()
    wanted = made_of(source, tmp_path / "one")
    folder = write_both(tmp_path / "gguf", source, architecture=architecture)
    assert made_of(folder, tmp_path / "two") == wanted, "tekken.json too"
    assert made_of(folder / "Tiny-BF16.gguf", tmp_path / "three") == wanted
    monkeypatch.setattr(stream, "CHUNK_BYTES", 7 * 128)
    assert made_of(folder, tmp_path / "four") == wanted


def unpacked(source: Path, kind: str) -> None:
    """Replaces every matrix of a Hugging Face folder by what its packing in GGUF keeps of it, as float32."""
    packing = gguf.GGMLQuantizationType[kind]

    def change(tensors: dict[str, Any]) -> None:
        for tensor in tensors.values():
            values = tensor.floats()
            if values.ndim == 2:
                values = gguf.quants.dequantize(gguf.quants.quantize(values, packing), packing)
            tensor.dtype, tensor.data = "F32", bytearray(np.ascontiguousarray(values, np.float32).tobytes())

    change_weights(source, change)


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "MXFP4"])
def test_packed_types_give_what_they_keep(source: Path, tmp_path: Path, kind: str) -> None:
    folder = write_both(tmp_path / "gguf", source, kind=kind)
    options = {"bits": 16, "dtype": "float32"}
    packed = read_folder(convert(folder, tmp_path / "one", **options))
    unpacked(source, kind)
    wanted = read_folder(convert(source, tmp_path / "two", **options))
    assert packed.keys() == wanted.keys()
    for name in packed:
        np.testing.assert_array_equal(packed[name].floats(), wanted[name].floats(), err_msg=name)


def test_logits_are_those_of_the_original_within_the_error_of_the_type(source: Path, tmp_path: Path) -> None:
    images = [Image.new("RGB", (60, 50), "red"), Image.new("RGB", (30, 90), "blue")]
    folder = write_both(tmp_path / "gguf", source, kind="Q8_0")
    logits: list[np.ndarray] = []
    for name, path in (("one", source), ("two", folder)):
        with mm.load(convert(path, tmp_path / name, bits=16, dtype="float32")) as model:
            logits.append(np.array(model.logits(_prompt(model, images), images).astype(mx.float32)))
    error = np.sqrt(np.square(logits[0] - logits[1]).mean() / np.square(logits[0]).mean())
    assert 0 < error < 0.02


def _prompt(model: mm.Magistral, images: list[Image.Image]) -> list[int]:
    from magistral_mlx.prompt.chat import compose, encode
    from magistral_mlx.prompt.turns import UserTurn

    loaded = model._loaded
    assert loaded is not None
    messages = compose([UserTurn("What?", tuple(images))], system=None, system_prompt=None, thinking=False)
    return list(encode(loaded.tokenizer, messages).token_ids)


def test_a_text_only_file_gives_a_text_only_model_and_says_so(source: Path, tmp_path: Path) -> None:
    write_text(tmp_path / "gguf" / "Tiny.gguf", source)
    notes: list[str] = []
    folder = convert(tmp_path / "gguf", tmp_path / "out", progress=lambda event: notes.append(event.note))
    assert open_checkpoint(folder).config.vision is None
    assert "There is no vision part (mmproj) beside Tiny.gguf: the result will not see images" in notes
    assert "The source has no tekken.json: it is rebuilt from the tokens in Tiny.gguf" in notes
    with mm.load(folder) as model:
        assert not model.sees
        assert model.ask("Hi", max_tokens=3, temperature=0).ending is not None


def test_magistral_1_0_as_gguf_keeps_its_own_marks(tmp_path: Path) -> None:
    source = write_source(tmp_path / "hf", config=tiny_config(vision=False))
    config = (source / "config.json").read_text()
    weights = (source / "model-00001-of-00001.safetensors").read_bytes()
    as_predecessor(source, release="1.0")
    # The writer of these tests reads today's names.
    (source / "config.json").write_text(config)
    (source / "model-00001-of-00001.safetensors").write_bytes(weights)
    folder = convert(write_text(tmp_path / "old.gguf", source), tmp_path / "out")
    assert json.loads((folder / "tekken.json").read_text())["config"]["version"] == "v7"
    prompt = (folder / "SYSTEM_PROMPT.txt").read_text()
    assert "<think>" in prompt
    assert prompt != PROMPT_1_0, "the one of the model card"
    with mm.load(folder) as model:
        assert model.ask("Hi", max_tokens=3, temperature=0).stats.prompt_tokens > 100


def test_small_files_beside_it_are_preferred(source: Path, tmp_path: Path) -> None:
    folder = write_both(tmp_path / "gguf", source)
    (folder / "SYSTEM_PROMPT.txt").write_text("Mine.[THINK]so[/THINK]now")
    assert (
        convert(folder, tmp_path / "out") / "SYSTEM_PROMPT.txt"
    ).read_text() == "Mine.[THINK]so[/THINK]now"


def test_the_most_exact_vision_part_is_taken(source: Path, tmp_path: Path) -> None:
    folder = write_both(tmp_path / "gguf", source)
    write_eye(folder / "mmproj-a-Q8_0.gguf", source, kind="Q8_0")
    assert (
        made_of(folder, tmp_path / "one")["model-00001-of-00001.safetensors"]
        == (made_of(source, tmp_path / "two")["model-00001-of-00001.safetensors"])
    )


def test_a_model_in_parts(source: Path, tmp_path: Path) -> None:
    whole = write_both(tmp_path / "gguf", source)
    parts = tmp_path / "parts"
    split(whole / "Tiny-BF16.gguf", parts)
    (whole / "mmproj-Tiny-BF16.gguf").rename(parts / "mmproj-Tiny-BF16.gguf")
    (source / "SYSTEM_PROMPT.txt").unlink()
    wanted = made_of(source, tmp_path / "one")
    assert made_of(parts, tmp_path / "two") == wanted
    assert made_of(parts / "Tiny-BF16-00002-of-00002.gguf", tmp_path / "three") == wanted
    (parts / "Tiny-BF16-00002-of-00002.gguf").unlink()
    with pytest.raises(MagistralError, match=r"Tiny-BF16-00002-of-00002\.gguf is missing"):
        convert(parts, tmp_path / "four")


def split(path: Path, folder: Path) -> None:
    """Two parts, as llama.cpp's gguf-split writes them: all metadata in the first."""
    folder.mkdir()
    reader = gguf.GGUFReader(path)
    half = len(reader.tensors) // 2
    for number, tensors in enumerate((reader.tensors[:half], reader.tensors[half:]), start=1):
        writer = gguf.GGUFWriter(folder / f"{path.stem}-{number:05}-of-00002.gguf", "llama")
        for field in reader.fields.values():
            if number == 1 and not field.name.startswith(("GGUF.", "general.architecture")):
                kind = field.types[-1] if field.types[0] is gguf.GGUFValueType.ARRAY else None
                writer.add_key_value(field.name, field.contents(), field.types[0], kind)
        for tensor in tensors:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def test_the_table_of_types_is_that_of_the_library() -> None:
    sizes = {kind.value: (kind.name, *size) for kind, size in gguf.GGML_QUANT_SIZES.items()}
    assert {code: (kind.name, kind.block_size, kind.block_bytes) for code, kind in TYPES.items()} == sizes
    readable = {kind.name for kind in gguf.quants._type_traits} | {"F32", "F16"}
    assert {kind.name for kind in TYPES.values() if kind.readable} == readable


Spoil = Callable[[Path, Path], object]
"""Takes the folder of GGUF files and the Hugging Face folder that they were made of."""


def cut(folder: Path, _: Path) -> None:
    path = folder / "Tiny-BF16.gguf"
    path.write_bytes(path.read_bytes()[:-100])


def text(**changes: object) -> Spoil:
    return lambda folder, source: write_text(folder / "Tiny-BF16.gguf", source, **changes)


def eye(**changes: object) -> Spoil:
    return lambda folder, source: write_eye(folder / "mmproj-Tiny-BF16.gguf", source, **changes)


def without(name: str, part: Callable[[Path, Path], object]) -> Spoil:
    def spoil(folder: Path, source: Path) -> None:
        change_weights(source, lambda tensors: tensors.pop(name))
        part(folder, source)

    return spoil


SPOILED: dict[str, tuple[Spoil, str]] = {
    "cut off": (cut, r"Tiny-BF16\.gguf is cut off: .* ends at byte"),
    "no GGUF": (
        lambda folder, _: (folder / "Tiny-BF16.gguf").write_bytes(b"GIF89a" * 10),
        r"Tiny-BF16\.gguf is no GGUF file",
    ),
    "empty": (lambda folder, _: (folder / "Tiny-BF16.gguf").write_bytes(b""), "is cut off or no GGUF file"),
    "another architecture": (
        lambda folder, source: write_text(folder / "Tiny-BF16.gguf", source, architecture="qwen2"),
        r"Tiny-BF16\.gguf is of the architecture 'qwen2'",
    ),
    "two models": (
        lambda folder, source: write_text(folder / "Other.gguf", source),
        r"gguf holds Other\.gguf, Tiny-BF16\.gguf\. Name the one",
    ),
    "no text model": (
        lambda folder, _: (folder / "Tiny-BF16.gguf").unlink(),
        "gguf holds no text model",
    ),
    "a key is missing": (text(**{"llama.rope.freq_base": None}), r"Tiny-BF16\.gguf: llama\.rope\.freq_base"),
    "scaled rotary embeddings": (text(**{"llama.rope.scaling.type": "yarn"}), "rope.scaling.type is 'yarn'"),
    "experts": (text(**{"llama.expert_count": 8}), "expert_count is not 0"),
    "no tokens": (text(**{"tokenizer.ggml.tokens": None}), r"tokenizer\.ggml\.tokens is missing"),
    "no types of tokens": (text(**{"tokenizer.ggml.token_type": None}), "token_type is missing"),
    "another tokenizer": (
        text(
            **{
                "tokenizer.ggml.tokens": ["<s>", "</s>", "[IMG]", "a"],
                "tokenizer.ggml.token_type": [3, 3, 3, 1],
            }
        ),
        r"Tiny-BF16\.gguf holds no Tekken tokenizer",
    ),
    "more layers than tensors": (
        text(**{"llama.block_count": 3}),
        r"Tiny-BF16\.gguf lacks blk\.2\.attn_norm\.weight",
    ),
    "another width than the metadata say": (
        text(**{"llama.feed_forward_length": 64}),
        r"blk\.0\.ffn_gate\.weight in Tiny-BF16\.gguf is .*its metadata asks for",
    ),
    "a text tensor is missing": (
        without("language_model.lm_head.weight", text()),
        r"Tiny-BF16\.gguf lacks output\.weight",
    ),
    "a vision tensor is missing": (
        without("multi_modal_projector.norm.weight", eye()),
        r"mmproj-Tiny-BF16\.gguf lacks mm\.input_norm\.weight",
    ),
    "another projector": (eye(**{"clip.projector_type": "mlp"}), "the projector 'mlp' instead of pixtral"),
    "the vision part of a wider model": (
        eye(**{"clip.vision.projection_dim": 4096}),
        r"mmproj-Tiny-BF16\.gguf is the vision part of another model: it projects to 4096, not 64",
    ),
    "no [IMG]": (
        lambda folder, source: text(**_tokens(source, {"[IMG]": "[NO]"}))(folder, source),
        r"Tiny-BF16\.gguf has no token \[IMG\]",
    ),
}  # fmt: skip


def _tokens(source: Path, changes: dict[str, str]) -> dict[str, object]:
    from support.gguf_checkpoint import _vocabulary

    tokens = [changes.get(token, token) for token in _vocabulary(source)["tokenizer.ggml.tokens"]]
    return {"tokenizer.ggml.tokens": tokens}


@pytest.mark.parametrize("case", SPOILED)
def test_a_spoiled_file_is_named(source: Path, tmp_path: Path, case: str) -> None:
    folder = write_both(tmp_path / "gguf", source)
    spoil, complaint = SPOILED[case]
    spoil(folder, source)
    with pytest.raises(MagistralError, match=complaint) as caught:
        convert(folder, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert caught.value.remedy
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gguf", "hf"]


def test_the_vision_part_alone_is_not_what_is_meant(source: Path, tmp_path: Path) -> None:
    folder = write_both(tmp_path / "gguf", source)
    with pytest.raises(MagistralError, match=r"mmproj-Tiny-BF16\.gguf is the vision part of a model"):
        convert(folder / "mmproj-Tiny-BF16.gguf", tmp_path / "out")


def test_a_value_that_is_not_finite_is_named(source: Path, tmp_path: Path) -> None:
    folder = write_both(tmp_path / "gguf", source, kind="Q8_0")
    path = folder / "Tiny-Q8_0.gguf"
    reader = gguf.GGUFReader(path)
    (up,) = [tensor for tensor in reader.tensors if tensor.name == "blk.1.ffn_up.weight"]
    content = bytearray(path.read_bytes())
    row = up.data_offset + 3 * (64 // 32) * 34
    content[row : row + 2] = b"\x00\x7e"  # the scale of a block
    path.write_bytes(content)
    with pytest.raises(MagistralError, match=r"blk\.1\.ffn_up\.weight .*not finite, in row 3"):
        convert(folder, tmp_path / "out")


def test_the_source_is_left_alone(source: Path, tmp_path: Path) -> None:
    folder = write_both(tmp_path / "gguf", source)
    before = digests(folder)
    convert(folder, tmp_path / "out")
    assert digests(folder) == before


def test_the_size_that_is_told_is_that_of_the_file(source: Path, tmp_path: Path) -> None:
    path = write_text(tmp_path / "gguf" / "Tiny-Q4_0.gguf", source, kind="Q4_0")
    stored = sum(tensor.nbytes for tensor in read_gguf_header(path).tensors.values())
    notes: list[str] = []
    folder = convert(path, tmp_path / "out", progress=lambda event: notes.append(event.note))
    assert f"Source: Tiny-Q4_0, {format_disk(stored)} in 1 file, 21 tensors" in notes
    assert f"| Size | {format_disk(stored)} became" in (folder / "README.md").read_text()
