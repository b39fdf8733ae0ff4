"""The header of a GGUF file: what the library writes is read; a spoiled byte does no worse than an error."""

import struct
from pathlib import Path

import gguf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx.errors import CheckpointError
from magistral_mlx_convert.sources.gguf.header import read_gguf_header
from support.gguf_checkpoint import write_text
from support.random_checkpoint import tiny_config, write_source


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gguf")
    source = write_source(folder / "hf", config=tiny_config(vision=False))
    return write_text(folder / "tiny.gguf", source, kind="Q8_0")


def test_it_agrees_with_the_library(file: Path) -> None:
    header, reader = read_gguf_header(file), gguf.GGUFReader(file)
    assert {
        name: (tensor.type.name, tensor.shape, tensor.position, tensor.nbytes)
        for name, tensor in header.tensors.items()
    } == {
        tensor.name: (
            tensor.tensor_type.name,
            tuple(int(size) for size in reversed(tensor.shape)),
            tensor.data_offset,
            tensor.n_bytes,
        )
        for tensor in reader.tensors
    }
    tokens = header.metadata["tokenizer.ggml.tokens"]
    assert tokens == reader.fields["tokenizer.ggml.tokens"].contents()
    assert header.metadata["tokenizer.ggml.merges"] is None
    assert header.metadata["llama.attention.layer_norm_rms_epsilon"] == 1e-5
    assert header.text("general.architecture") == "llama"
    assert header.number("llama.block_count") == 2


@given(st.data())
def test_any_cut_is_an_error(
    file: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = file.read_bytes()
    length = data.draw(st.integers(0, len(content) - 1))
    cut = tmp_path_factory.mktemp("cut") / "cut.gguf"
    cut.write_bytes(content[:length])
    with pytest.raises(CheckpointError, match=r"cut\.gguf"):
        read_gguf_header(cut)


@given(st.data())
def test_a_spoiled_byte_gives_a_header_or_our_error(
    file: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, min(len(content) - 1, 40_000)))
    content[place] = data.draw(st.integers(0, 255))
    spoiled = tmp_path_factory.mktemp("spoiled") / "spoiled.gguf"
    spoiled.write_bytes(content)
    try:
        header = read_gguf_header(spoiled)
    except CheckpointError:
        return
    ends = [tensor.position + tensor.nbytes for tensor in header.tensors.values()]
    assert max(ends) <= len(content)


def rewritten(file: Path, to: Path, place: int, new: bytes) -> Path:
    content = bytearray(file.read_bytes())
    content[place : place + len(new)] = new
    to.write_bytes(content)
    return to


@pytest.mark.parametrize(
    ("place", "new", "complaint"),
    [
        (4, b"\x01\0\0\0", "has version 1"),
        (4, b"\0\0\0\x03", "is written for big-endian machines"),
        (8, b"\xff" * 8, "claims 18446744073709551615 tensors"),
        (24, b"\xff" * 8, "is cut off inside its header"),
    ],
)
def test_what_is_wrong_is_said(file: Path, tmp_path: Path, place: int, new: bytes, complaint: str) -> None:
    with pytest.raises(CheckpointError, match=complaint):
        read_gguf_header(rewritten(file, tmp_path / "x.gguf", place, new))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="can't be read"):
        read_gguf_header(tmp_path / "none.gguf")


def listing(path: Path, *, tensors: int = 0, values: int = 0, key: int = 1) -> Path:
    """A header that claims so many tensors, and one list of so many bytes under a name of `key` bytes."""
    pair = struct.pack("<Q", key) + b"k" * key + struct.pack("<IIQ", 9, 0, values) + bytes(values)
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, tensors, 1) + pair + bytes(64))
    return path


@pytest.mark.parametrize(
    ("sizes", "complaint"),
    [
        ({"values": 2_000_001}, "claims 2000001 values in its lists"),
        ({"tensors": 100_001}, "claims 100001 tensors"),
        ({"key": (64 << 20) + 1}, "has a header of more than 67108864 bytes"),
    ],
)
def test_a_header_larger_than_any_model_needs_is_refused(
    tmp_path: Path, sizes: dict[str, int], complaint: str
) -> None:
    with pytest.raises(CheckpointError, match=complaint):
        read_gguf_header(listing(tmp_path / "large.gguf", **sizes))


def test_a_long_list_within_the_limits_is_read(tmp_path: Path) -> None:
    header = read_gguf_header(listing(tmp_path / "long.gguf", values=300_000))
    assert header.metadata["k"] == [0] * 300_000
