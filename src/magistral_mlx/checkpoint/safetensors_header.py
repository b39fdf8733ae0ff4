"""The header of a safetensors file, read and checked without touching the tensors.

Format (https://huggingface.co/docs/safetensors): eight bytes with the header's length N (unsigned, little
endian), N bytes of JSON, then the data section that the JSON's offsets point into. Nothing in the header is
trusted: a file passes only when its tensors tile the data section exactly.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from magistral_mlx.errors import CheckpointError
from magistral_mlx.storage.atomic import open_regular

ITEM_BYTES: Mapping[str, int] = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "U16": 2,
    "I16": 2,
    "F16": 2,
    "BF16": 2,
    "U32": 4,
    "I32": 4,
    "F32": 4,
    "U64": 8,
    "I64": 8,
    "F64": 8,
}
"""Bytes per element of each dtype, under its name in the format."""

LENGTH_BYTES = 8
MAX_HEADER_BYTES = 16 << 20
MAX_TENSORS = 100_000
"""Far above any Magistral (585 tensors, a header of 70 kB); checking a million tensors takes a minute."""

_DAMAGED = "The file is damaged or not a safetensors file; download or convert it again."


@dataclass(frozen=True)
class TensorInfo:
    """One tensor's entry; `start` and `end` are byte offsets into the data section."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class SafetensorsHeader:
    """All entries of one file.

    `data_offset` is the file position of the data section, so that a tensor's bytes lie at
    `data_offset + start` up to `data_offset + end`.
    """

    tensors: Mapping[str, TensorInfo]
    data_offset: int
    metadata: Mapping[str, str]


def read_header(path: Path) -> SafetensorsHeader:
    """Read and check the header of `path`.

    Raises:
        CheckpointError: the file can't be read, its header is not valid, its tensors overlap or leave gaps,
            or the file is shorter or longer than the header says. The text names the file, and the tensor
            where there is one.
    """
    try:
        with open_regular(path) as file:
            size = file.seek(0, 2)
            file.seek(0)
            length = header_length(file.read(LENGTH_BYTES), size=size, path=path)
            text = file.read(length)
    except OSError as error:
        raise CheckpointError(
            f"{path} can't be read: {error.strerror}", "Check that it exists and is readable."
        ) from error
    return parse_header(text, size=size, path=path)


def header_length(first: bytes, *, size: int, path: Path) -> int:
    """Return the length of the JSON from the first eight bytes of a file of `size` bytes.

    Raises:
        CheckpointError: the file is too short for it.
    """
    length = int.from_bytes(first[:LENGTH_BYTES], "little")
    if size < LENGTH_BYTES or length > min(size - LENGTH_BYTES, MAX_HEADER_BYTES):
        raise CheckpointError(f"{path} is cut off or has no safetensors header", _DAMAGED)
    return length


def parse_header(text: bytes, *, size: int, path: Path) -> SafetensorsHeader:
    """Checks the JSON of a file that need not be here: `size` is its length, `path` its name for messages.

    Raises:
        CheckpointError: as `read_header`.
    """
    entries = _parse(text, path)
    if len(entries) > MAX_TENSORS:
        raise CheckpointError(f"{path} claims {len(entries)} tensors", _DAMAGED)
    metadata = _metadata(entries.pop("__metadata__", {}), path)
    tensors = {name: _tensor(name, entry, path) for name, entry in entries.items()}
    data_offset = LENGTH_BYTES + len(text)
    _check_tiling(tensors, size - data_offset, path)
    return SafetensorsHeader(tensors=tensors, data_offset=data_offset, metadata=metadata)


def _parse(text: bytes, path: Path) -> dict[str, object]:
    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        keys = dict(pairs)
        if len(keys) != len(pairs):
            raise ValueError("a key occurs twice")
        return keys

    try:
        entries: object = json.loads(text.decode(), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} has a header that is not valid JSON: {error}", _DAMAGED) from error
    if not isinstance(entries, dict):
        raise CheckpointError(f"{path} has a header that is not a JSON object", _DAMAGED)
    return cast(dict[str, object], entries)


def _metadata(raw: object, path: Path) -> dict[str, str]:
    if raw is None:  # MLX writes null where it was given no metadata
        return {}
    if isinstance(raw, dict):
        pairs = cast(dict[str, object], raw)
        texts = {key: value for key, value in pairs.items() if isinstance(value, str)}
        if len(texts) == len(pairs):
            return texts
    raise CheckpointError(f"{path} has __metadata__ that is not a table of texts", _DAMAGED)


def _tensor(name: str, raw: object, path: Path) -> TensorInfo:
    def wrong(what: str) -> CheckpointError:
        return CheckpointError(f"{path}: tensor {name!r} {what}", _DAMAGED)

    if not isinstance(raw, dict):
        raise wrong("has no dtype, shape and data_offsets")
    entry = cast(dict[str, object], raw)
    dtype = entry.get("dtype")
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        raise wrong(f"has the unknown dtype {dtype!r}")
    shape = _naturals(entry.get("shape"))
    offsets = _naturals(entry.get("data_offsets"))
    if shape is None:
        raise wrong(f"has the impossible shape {entry.get('shape')!r}")
    if offsets is None or len(offsets) != 2:
        raise wrong(f"has the impossible data_offsets {entry.get('data_offsets')!r}")
    start, end = offsets
    if end - start != math.prod(shape) * ITEM_BYTES[dtype]:
        raise wrong(f"of {dtype} {list(shape)} can't fill the bytes {start} to {end}")
    return TensorInfo(dtype=dtype, shape=shape, start=start, end=end)


def _naturals(raw: object) -> tuple[int, ...] | None:
    if not isinstance(raw, list):
        return None
    values = cast(list[object], raw)
    # type(), not isinstance(): JSON's true is an int to Python.
    numbers = tuple(value for value in values if type(value) is int and 0 <= value < 2**63)
    return numbers if len(numbers) == len(values) else None


def _check_tiling(tensors: Mapping[str, TensorInfo], data_bytes: int, path: Path) -> None:
    position = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        if tensor.start != position:
            fault = "overlaps another tensor" if tensor.start < position else "leaves a gap before it"
            raise CheckpointError(f"{path}: tensor {name!r} {fault}", _DAMAGED)
        position = tensor.end
    if position != data_bytes:
        fault = "cut off" if data_bytes < position else "longer than its header says"
        raise CheckpointError(
            f"{path} is {fault}: {data_bytes} bytes of tensors instead of {position}", _DAMAGED
        )
