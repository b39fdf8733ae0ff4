"""The weight files of a folder, one or several with their index, read row by row.

Only the files that the index names are read, so that other weights beside them change nothing.
"""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from magistral_mlx.errors import ConversionError
from magistral_mlx.safetensors_header import ITEM_BYTES, SafetensorsHeader, read_header
from magistral_mlx_convert.sources.small_files import read_json
from magistral_mlx_convert.sources.source import SourceTensor

_AGAIN = "Download the checkpoint again."


class SafetensorsFiles:
    """Opened weight files. Opening reads and checks all headers and the index, no tensor.

    Args:
        folder: where they lie.
        placed: file -> the tensors that an index places in it, as `indexed_files` gives it.
        index: the index's name, for messages.

    Raises:
        ConversionError: index and files contradict each other.
        CheckpointError: a weight file is damaged.
    """

    def __init__(self, folder: Path, placed: Mapping[str, frozenset[str] | None], *, index: str) -> None:
        self._folder = folder
        self._headers = {
            file: _checked_header(folder / file, held, index=index) for file, held in placed.items()
        }
        self.tensors: Mapping[str, SourceTensor] = {
            name: SourceTensor(name=name, dtype=info.dtype, shape=info.shape, file=file)
            for file, header in self._headers.items()
            for name, info in header.tensors.items()
        }
        self._descriptors: dict[str, int] = {}

    @property
    def identity(self) -> tuple[tuple[str, int, int], ...]:
        """See `Source.identity`."""
        states = ((file, (self._folder / file).stat()) for file in self._headers)
        return tuple((file, state.st_size, state.st_mtime_ns) for file, state in states)

    def read_rows(self, tensor: SourceTensor, first: int, into: memoryview) -> None:
        """Fills `into` with the stored bytes of whole rows, from row `first` on.

        Raises:
            ConversionError: the file ends early or cannot be read.
        """
        header = self._headers[tensor.file]
        stored = header.tensors[tensor.name]
        row_bytes = math.prod(stored.shape[1:]) * ITEM_BYTES[stored.dtype]
        position = header.data_offset + stored.start + first * row_bytes
        path = self._folder / tensor.file
        try:
            if tensor.file not in self._descriptors:
                self._descriptors[tensor.file] = os.open(path, os.O_RDONLY)
            read_fully(self._descriptors[tensor.file], position, into, path=path, tensor=tensor.name)
        except OSError as error:
            raise ConversionError(
                f"{path} can't be read at {tensor.name}: {error.strerror}", "Check the disk it lies on."
            ) from error

    def read_tensor(self, name: str) -> bytes:
        """All stored bytes of a small tensor."""
        tensor = self.tensors[name]
        data = bytearray(math.prod(tensor.shape) * ITEM_BYTES[tensor.dtype])
        self.read_rows(tensor, 0, memoryview(data))
        return bytes(data)

    def close(self) -> None:
        """See `Source.close`."""
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors.clear()


def read_fully(descriptor: int, position: int, into: memoryview, *, path: Path, tensor: str) -> None:
    """Fills `into` from `position` of an open file on.

    Raises:
        ConversionError: the file ends before.
    """
    while into.nbytes:
        count = os.preadv(descriptor, [into], position)
        if count == 0:
            raise ConversionError(f"{path} ended inside {tensor}: it was changed meanwhile", _AGAIN)
        into, position = into[count:], position + count


def indexed_files(folder: Path, *, single: str, index: str) -> Mapping[str, frozenset[str] | None] | None:
    """File -> the tensors that the index places in it; None for a single file without index.

    Args:
        single: the name of the file that holds everything, where there is no index.
        index: the name of the index.

    Returns:
        None when the folder holds neither.

    Raises:
        ConversionError: the index is not valid.
    """
    if (folder / single).is_file():
        return {single: None}
    if not (folder / index).is_file():
        return None
    raw = read_json(folder / index, remedy=_AGAIN).get("weight_map")
    if not isinstance(raw, dict) or not raw:
        raise ConversionError(f"{folder / index} has no weight_map", _AGAIN)
    placed: dict[str, set[str]] = {}
    for tensor, file in cast(dict[str, object], raw).items():
        # A name from a file is never trusted as a path.
        if not isinstance(file, str) or Path(file).name != file or not file.endswith(".safetensors"):
            raise ConversionError(f"{folder / index} places {tensor} in {file!r}", _AGAIN)
        placed.setdefault(file, set()).add(tensor)
    return {file: frozenset(placed[file]) for file in sorted(placed)}


def _checked_header(path: Path, placed: frozenset[str] | None, *, index: str) -> SafetensorsHeader:
    if not path.is_file():
        raise ConversionError(f"{path} is missing, but {index} names it", _AGAIN)
    header = read_header(path)
    if placed is None:
        return header
    if absent := sorted(placed - header.tensors.keys()):
        raise ConversionError(f"{index} places {absent[0]} in {path.name}, which does not hold it", _AGAIN)
    if unplaced := sorted(header.tensors.keys() - placed):
        raise ConversionError(f"{path.name} holds {unplaced[0]}, which {index} does not place there", _AGAIN)
    return header
