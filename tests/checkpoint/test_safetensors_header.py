"""The header reader takes what writers write and refuses everything else, naming file and tensor."""

import json
import struct
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx.checkpoint.safetensors_header import ITEM_BYTES, MAX_HEADER_BYTES, TensorInfo, read_header
from magistral_mlx.errors import CheckpointError

GOOD: dict[str, Any] = {
    "__metadata__": {"format": "pt"},
    "a.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "b.weight": {"dtype": "BF16", "shape": [4], "data_offsets": [24, 32]},
}


def write(path: Path, header: object, *, data: int = 32) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(data))
    return path


def test_reads_what_mlx_writes(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    arrays = {
        "w": mx.ones((3, 5), dtype=mx.bfloat16),
        "s": mx.array(7, dtype=mx.uint8),
        "e": mx.zeros((0, 2)),
    }
    mx.save_safetensors(str(path), arrays, {"format": "mlx"})
    header = read_header(path)
    assert {name: (info.dtype, info.shape) for name, info in header.tensors.items()} == {
        "w": ("BF16", (3, 5)),
        "s": ("U8", ()),
        "e": ("F32", (0, 2)),
    }
    assert header.metadata["format"] == "mlx"
    start, end = header.tensors["w"].start, header.tensors["w"].end
    content = path.read_bytes()[header.data_offset + start : header.data_offset + end]
    assert content == b"\x80\x3f" * 15


def test_metadata_may_be_absent_or_null(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    mx.save_safetensors(str(path), {"w": mx.ones(3)})
    assert read_header(path).metadata == {}
    assert read_header(write(path, entry())).metadata == {}


def test_positions_count_from_the_data_section(tmp_path: Path) -> None:
    header = read_header(write(tmp_path / "x.safetensors", GOOD))
    assert header.tensors["b.weight"] == TensorInfo(dtype="BF16", shape=(4,), start=24, end=32)
    assert header.data_offset == 8 + len(json.dumps(GOOD))


def test_every_dtype_of_the_format_has_its_size(tmp_path: Path) -> None:
    for dtype, size in ITEM_BYTES.items():
        header = {"t": {"dtype": dtype, "shape": [3], "data_offsets": [0, 3 * size]}}
        assert (
            read_header(write(tmp_path / "x.safetensors", header, data=3 * size)).tensors["t"].dtype == dtype
        )


def entry(**changes: object) -> dict[str, Any]:
    return {"t": {"dtype": "F32", "shape": [8], "data_offsets": [0, 32]} | changes}


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (b"{", "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[]", "not a JSON object"),
        (b'{"t":{},"t":{}}', "occurs twice"),
        (b"[" * 100_000, "not valid JSON"),
        ({"__metadata__": {"format": 1}}, "__metadata__"),
        ({"__metadata__": []}, "__metadata__"),
        ({"t": 3}, "'t' has no dtype"),
        (entry(dtype="F12"), "unknown dtype 'F12'"),
        (entry(dtype=None), "unknown dtype None"),
        (entry(shape=[-8]), "impossible shape"),
        (entry(shape=[True, 8]), "impossible shape"),
        (entry(shape=[8.0]), "impossible shape"),
        (entry(shape="8"), "impossible shape"),
        (entry(shape=[2**64, 0]), "impossible shape"),
        (entry(data_offsets=[0]), "impossible data_offsets"),
        (entry(data_offsets=[32, 0]), "can't fill"),
        (entry(data_offsets=[0, 31]), "can't fill"),
        (entry(shape=[2**40, 2**40]), "can't fill"),
        (entry(data_offsets=[4, 36]), "'t' leaves a gap"),
        (GOOD | {"c": {"dtype": "F32", "shape": [2], "data_offsets": [20, 28]}}, "'c' overlaps"),
        (entry(shape=[4], data_offsets=[0, 16]), "longer than its header says"),
        (entry(shape=[9], data_offsets=[0, 36]), "cut off"),
    ],
)
def test_refuses_a_header_that_lies(tmp_path: Path, header: object, told: str) -> None:
    path = write(tmp_path / "model.safetensors", header)
    with pytest.raises(CheckpointError, match=r"model\.safetensors") as refusal:
        read_header(path)
    assert told in refusal.value.problem
    assert refusal.value.remedy


@pytest.mark.parametrize("length", [0, 3, 8])
def test_refuses_a_file_that_ends_before_its_header(tmp_path: Path, length: int) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", 500)[:length])
    with pytest.raises(CheckpointError, match="cut off or has no safetensors header"):
        read_header(path)


def test_an_absurd_length_reads_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", MAX_HEADER_BYTES + 1))
        file.truncate(MAX_HEADER_BYTES + 100)  # sparse: takes no disk
    with pytest.raises(CheckpointError, match="no safetensors header"):
        read_header(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"absent\.safetensors can't be read: No such file"):
        read_header(tmp_path / "absent.safetensors")


@given(cut=st.integers(min_value=0, max_value=500), flip=st.integers(min_value=0, max_value=255))
def test_damage_is_a_checkpoint_error_never_another(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flip: int
) -> None:
    path = write(tmp_path_factory.mktemp("damaged") / "x.safetensors", GOOD)
    content = bytearray(path.read_bytes())
    content[cut % len(content)] ^= flip
    path.write_bytes(content[: cut or None])
    try:
        header = read_header(path)
    except CheckpointError:
        return
    assert sum(info.end - info.start for info in header.tensors.values()) == 32
