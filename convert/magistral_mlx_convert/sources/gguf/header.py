"""The header of a GGUF file, read and checked without touching the tensors.

Format (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), little endian: magic, version, counts,
typed key-value pairs, an entry for each tensor, padding, and the data section that the entries' offsets
point into. Nothing of it is trusted: a length must lie inside the file, and every tensor inside the data
section.
"""

import math
import mmap
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from magistral_mlx.errors import CheckpointError
from magistral_mlx.storage.atomic import open_regular


@dataclass(frozen=True)
class PackedType:
    """One type: `block_size` numbers lie in `block_bytes` bytes."""

    code: int
    name: str
    block_size: int
    block_bytes: int

    @property
    def plain(self) -> str | None:
        """The same type's name in safetensors; None for a type that needs unpacking."""
        return self.name if self.name in ("F32", "F16", "BF16") else None

    @property
    def delivered(self) -> str:
        """The dtype in which `read_rows` delivers it."""
        return self.plain or "F32"

    @property
    def readable(self) -> bool:
        """Tell if the `gguf` library unpacks it: no integers, no types of intermediate results."""
        return self.name not in ("Q8_1", "Q8_K", "Q1_0", "I8", "I16", "I32", "I64", "F64")


MAGIC = b"GGUF"
VERSIONS = (2, 3)

_AGAIN = "Download the file again."
_MOST_ENTRIES = 100_000
"""Tensors, or keys: Magistral Small has some hundred of each."""
_MOST_VALUES = 2_000_000
"""Values of all arrays together; two lists of 131,072 tokens and 270,000 merges are usual."""
_MOST_HEADER_BYTES = 64 << 20
_MOST_DIMENSIONS = 4
_SKIPPED = ("tokenizer.ggml.merges", "tokenizer.ggml.scores")
"""Long lists that nobody asks for."""

Value = bool | int | float | str | list[str] | list[int] | list[float] | list[bool] | None


@dataclass(frozen=True)
class GGUFTensor:
    """One tensor's entry; rows along the first axis, as in PyTorch. `position` is a file position."""

    name: str
    type: PackedType
    shape: tuple[int, ...]
    position: int

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) // self.type.block_size * self.type.block_bytes


@dataclass(frozen=True)
class GGUFHeader:
    """Metadata and tensors of one file; values of `_SKIPPED` keys are None."""

    path: Path
    metadata: Mapping[str, Value]
    tensors: Mapping[str, GGUFTensor]

    def text(self, key: str) -> str | None:
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    def number(self, key: str) -> int | float | None:
        value = self.metadata.get(key)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def read_gguf_header(path: Path) -> GGUFHeader:
    """Reads and checks the header of `path`.

    Raises:
        CheckpointError: the file can't be read, is no GGUF of a known version, is cut off, or its tensors
            overlap. The text names the file, and the key or tensor where there is one.
    """
    try:
        with open_regular(path) as file:
            size = file.seek(0, 2)
            if size < 24:
                raise CheckpointError(f"{path} is cut off or no GGUF file", _AGAIN)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return _Parser(path, content).header()
    except OSError as error:
        raise CheckpointError(
            f"{path} can't be read: {error.strerror}", "Check that it exists and is readable."
        ) from error


class _Parser:
    """Walks through the header once, from the first byte on."""

    def __init__(self, path: Path, content: mmap.mmap) -> None:
        self._path, self._content, self._at, self._values = path, content, 0, 0

    def header(self) -> GGUFHeader:
        if self._take(4) != MAGIC:
            raise self._wrong("is no GGUF file")
        version = self._number("<I")
        if version not in VERSIONS:
            swapped = version & 0xFFFF == 0
            raise self._wrong("is written for big-endian machines" if swapped else f"has version {version}")
        tensor_count, pair_count = self._count("tensors"), self._count("keys")
        metadata: dict[str, Value] = {}
        for _ in range(pair_count):
            key = self._string()
            metadata[key] = self._value(self._number("<I"), key)
        entries = [self._entry() for _ in range(tensor_count)]
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 1 <= alignment <= 1 << 20:
            raise self._wrong(f"has the impossible alignment {alignment!r:.40}")
        data = -(-self._at // alignment) * alignment
        tensors = [self._tensor(entry, data) for entry in entries]
        self._check_places(tensors)
        by_name = {tensor.name: tensor for tensor in tensors}
        if len(by_name) != len(tensors):
            raise self._wrong("names a tensor twice")
        return GGUFHeader(path=self._path, metadata=metadata, tensors=by_name)

    def _wrong(self, what: str) -> CheckpointError:
        return CheckpointError(f"{self._path} {what}", _AGAIN)

    def _take(self, nbytes: int) -> bytes:
        if nbytes > len(self._content) - self._at:
            raise self._wrong("is cut off inside its header")
        if self._at + nbytes > _MOST_HEADER_BYTES:
            raise self._wrong(f"has a header of more than {_MOST_HEADER_BYTES} bytes")
        taken = self._content[self._at : self._at + nbytes]
        self._at += nbytes
        return taken

    def _number(self, form: str) -> int:
        return cast(int, struct.unpack(form, self._take(struct.calcsize(form)))[0])

    def _count(self, of: str) -> int:
        count = self._number("<Q")
        if count > _MOST_ENTRIES:
            raise self._wrong(f"claims {count} {of}")
        return count

    def _string(self) -> str:
        return self._take(self._number("<Q")).decode(errors="replace")

    def _value(self, kind: int, key: str) -> Value:
        if kind in _SCALARS:
            form, convert = _SCALARS[kind]
            return convert(self._number(form))
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            raise self._wrong(f"gives {key:.80} the unknown type {kind}")
        item, count = self._number("<I"), self._number("<Q")
        self._values += count
        if self._values > _MOST_VALUES:
            raise self._wrong(f"claims {self._values} values in its lists")
        if item == _STRING:
            return self._strings(count, keep=key not in _SKIPPED)
        if item not in _SCALARS:
            raise self._wrong(f"gives the values of {key:.80} the unknown type {item}")
        form, convert = _SCALARS[item]
        taken = self._take(count * struct.calcsize(form))
        if key in _SKIPPED:
            return None
        values = struct.unpack(f"<{count}{form[1:]}", taken)
        return cast(Value, [convert(value) for value in values])

    def _strings(self, count: int, *, keep: bool) -> list[str] | None:
        if keep:
            return [self._string() for _ in range(count)]
        for _ in range(count):
            self._take(self._number("<Q"))
        return None

    def _entry(self) -> tuple[str, tuple[int, ...], int, int]:
        name, dimensions = self._string(), self._number("<I")
        if not 1 <= dimensions <= _MOST_DIMENSIONS:
            raise self._wrong(f"gives {name:.80} {dimensions} dimensions")
        # GGUF lists the innermost dimension first.
        shape = tuple(self._number("<Q") for _ in range(dimensions))[::-1]
        return name, shape, self._number("<I"), self._number("<Q")

    def _tensor(self, entry: tuple[str, tuple[int, ...], int, int], data: int) -> GGUFTensor:
        name, shape, kind, offset = entry
        if kind not in TYPES:
            raise self._wrong(f"holds {name:.80} in the unknown type {kind}")
        if not all(shape) or shape[-1] % TYPES[kind].block_size:
            raise self._wrong(f"gives {name:.80} of {TYPES[kind].name} the impossible shape {list(shape)}")
        tensor = GGUFTensor(name=name, type=TYPES[kind], shape=shape, position=data + offset)
        if tensor.position + tensor.nbytes > len(self._content):
            raise self._wrong(f"is cut off: {name:.80} ends at byte {tensor.position + tensor.nbytes}")
        return tensor

    def _check_places(self, tensors: list[GGUFTensor]) -> None:
        end = 0
        for tensor in sorted(tensors, key=lambda tensor: tensor.position):
            if tensor.position < end:
                raise self._wrong(f"lets {tensor.name:.80} overlap another tensor")
            end = tensor.position + tensor.nbytes


def _shortest(value: float) -> float:
    """The number that a float32 was written for: 1e-05, not 9.999999747378752e-06."""
    return float(str(np.float32(value)))


_SCALARS: Mapping[int, tuple[str, Callable[[int | float], bool | int | float]]] = {
    0: ("<B", int),
    1: ("<b", int),
    2: ("<H", int),
    3: ("<h", int),
    4: ("<I", int),
    5: ("<i", int),
    6: ("<f", _shortest),
    7: ("<?", bool),
    10: ("<Q", int),
    11: ("<q", int),
    12: ("<d", float),
}
"""Code of a value's type -> its form and what it becomes."""

_STRING, _ARRAY = 8, 9

_ROWS = (  # code, name, block_size, block_bytes
    (0, "F32", 1, 4),
    (1, "F16", 1, 2),
    (2, "Q4_0", 32, 18),
    (3, "Q4_1", 32, 20),
    (6, "Q5_0", 32, 22),
    (7, "Q5_1", 32, 24),
    (8, "Q8_0", 32, 34),
    (9, "Q8_1", 32, 40),
    (10, "Q2_K", 256, 84),
    (11, "Q3_K", 256, 110),
    (12, "Q4_K", 256, 144),
    (13, "Q5_K", 256, 176),
    (14, "Q6_K", 256, 210),
    (15, "Q8_K", 256, 292),
    (16, "IQ2_XXS", 256, 66),
    (17, "IQ2_XS", 256, 74),
    (18, "IQ3_XXS", 256, 98),
    (19, "IQ1_S", 256, 50),
    (20, "IQ4_NL", 32, 18),
    (21, "IQ3_S", 256, 110),
    (22, "IQ2_S", 256, 82),
    (23, "IQ4_XS", 256, 136),
    (24, "I8", 1, 1),
    (25, "I16", 1, 2),
    (26, "I32", 1, 4),
    (27, "I64", 1, 8),
    (28, "F64", 1, 8),
    (29, "IQ1_M", 256, 56),
    (30, "BF16", 1, 2),
    (34, "TQ1_0", 256, 54),
    (35, "TQ2_0", 256, 66),
    (39, "MXFP4", 32, 17),
    (40, "NVFP4", 64, 36),
    (41, "Q1_0", 128, 18),
)

TYPES: Mapping[int, PackedType] = {row[0]: PackedType(*row) for row in _ROWS}
"""By ggml's code."""
