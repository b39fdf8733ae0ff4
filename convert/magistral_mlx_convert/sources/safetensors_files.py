"""The weight files of a folder, one or several with their index, read row by row.

Only the files that the index names are read, so that other weights beside them change nothing.
"""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from io import BufferedReader
from pathlib import Path
from threading import Lock
from typing import Protocol, cast

from magistral_mlx.checkpoint.safetensors_header import ITEM_BYTES, SafetensorsHeader, read_header
from magistral_mlx.errors import CheckpointError, ConversionError
from magistral_mlx.storage.atomic import open_regular
from magistral_mlx_convert.sources.hub.arrivals import Arrivals, Arriving, Fetched, Need, peak_bytes
from magistral_mlx_convert.sources.hub.checksums import keeps_to, known_checksum
from magistral_mlx_convert.sources.source import SourceTensor, read_json
from magistral_mlx_convert.system import will_be_read_once

_AGAIN = "Download the checkpoint again."


class WeightFiles(Arriving, Protocol):
    """Weight files, wherever they lie."""

    @property
    def tensors(self) -> Mapping[str, SourceTensor]: ...

    @property
    def identity(self) -> tuple[tuple[str, int, int], ...]:
        """See `Source.identity`."""
        ...

    def read_rows(self, tensor: SourceTensor, first: int, into: memoryview) -> None:
        """Fills `into` with the stored bytes of whole rows, from row `first` on.

        Raises:
            ConversionError: the file ends early or cannot be read.
        """
        ...

    def read_tensor(self, name: str) -> bytes:
        """All stored bytes of a small tensor; also before the job begins."""
        ...

    def close(self) -> None:
        """See `Source.close`."""
        ...


class RowReader:
    """Reads rows out of files that it opens at their first use.

    Args:
        headers: file -> its header.
        path_of: where a file lies; may wait until it is there.
    """

    def __init__(self, headers: Mapping[str, SafetensorsHeader], *, path_of: Callable[[str], Path]) -> None:
        self._headers, self._path_of = headers, path_of
        self._open: dict[str, BufferedReader] = {}
        self._opening = Lock()  # a calibration reads beside the conversion

    def read(self, tensor: SourceTensor, first: int, into: memoryview) -> None:
        """See `WeightFiles.read_rows`."""
        position = position_of(self._headers[tensor.file], tensor.name, first)
        path = self._path_of(tensor.file)
        try:
            with self._opening:
                if tensor.file not in self._open:
                    self._open[tensor.file] = open_regular(path)
                    will_be_read_once(self._open[tensor.file].fileno())
            read_fully(self._open[tensor.file].fileno(), position, into, path=path, tensor=tensor.name)
        except OSError as error:
            raise ConversionError(
                f"{path} can't be read at {tensor.name}: {error.strerror}", "Check the disk it lies on."
            ) from error

    def forget(self, file: str) -> None:
        """Closes a file, so that its space is free once its name is gone."""
        if (opened := self._open.pop(file, None)) is not None:
            opened.close()

    def close(self) -> None:
        """Closes all files."""
        for file in list(self._open):
            self.forget(file)


class SafetensorsFiles:
    """`WeightFiles` of a folder. Opening reads and checks all headers and the index, no tensor.

    A file of which the hub's checksum is known is compared with it before its first tensor is read.

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
        self._headers = {file: _header(folder / file, index=index) for file in placed}
        check_index(self._headers, placed, index=index)
        self.tensors: Mapping[str, SourceTensor] = tensors_of(self._headers)
        checksums = {file: known_checksum(folder / file) for file in self._headers}
        self._checksums = {file: known for file, known in checksums.items() if known is not None}
        self._opened = {file: self._state(file) for file in self._checksums}
        self._rows = RowReader(self._headers, path_of=self._path_of)
        self._arrivals: Arrivals | None = None

    @property
    def identity(self) -> tuple[tuple[str, int, int], ...]:
        """See `Source.identity`; a known checksum says more than a time, and the same of every copy."""
        return tuple(self._identity(file) for file in self._headers)

    def read_rows(self, tensor: SourceTensor, first: int, into: memoryview) -> None:
        """See `WeightFiles.read_rows`."""
        self._rows.read(tensor, first, into)

    def read_tensor(self, name: str) -> bytes:
        """See `WeightFiles.read_tensor`."""
        tensor = self.tensors[name]
        data = bytearray(math.prod(tensor.shape) * ITEM_BYTES[tensor.dtype])
        try:
            self.read_rows(tensor, 0, memoryview(data))
        finally:
            if self._arrivals is None:
                self._rows.forget(tensor.file)  # the source may still be refused
        return bytes(data)

    def close(self) -> None:
        """See `Source.close`."""
        self.cancel()
        self._rows.close()

    def peak_bytes(self, needs: Sequence[Need]) -> int:
        """See `Arriving.peak_bytes`: the files are here already."""
        return peak_bytes(needs, {})

    def fetch_bytes(self, needs: Sequence[Need]) -> int:
        """See `Arriving.fetch_bytes`."""
        del needs
        return 0

    def expect(self, needs: Sequence[Need], tell: Callable[[Fetched], None]) -> None:
        """See `Arriving.expect`: a file has come when it was compared with its checksum."""
        if self._checksums:
            self._arrivals = Arrivals(needs, bring=self._compared, drop=_stays, has_room=_always)

    def consumed(self, count: int) -> None:
        """See `Arriving.consumed`; the files stay."""
        if self._arrivals is not None:
            self._arrivals.consumed(count)

    def cancel(self) -> None:
        """See `Arriving.cancel`."""
        if self._arrivals is not None:
            self._arrivals.cancel()

    def _identity(self, file: str) -> tuple[str, int, int]:
        size, changed = self._state(file)
        if file in self._checksums and (size, changed) == self._opened[file]:
            return f"{file} {self._checksums[file].digest}", size, 0
        return file, size, changed

    def _state(self, file: str) -> tuple[int, int]:
        state = (self._folder / file).stat()
        return state.st_size, state.st_ctime_ns

    def _path_of(self, file: str) -> Path:
        return self._folder / file if self._arrivals is None else self._arrivals.path(file)

    def _compared(self, file: str, cancelled: Callable[[], bool]) -> Path:
        path, checksum = self._folder / file, self._checksums.get(file)
        try:
            if checksum is None or keeps_to(path, checksum, cancelled=cancelled):
                return path
        except OSError as error:
            raise ConversionError(
                f"{path} can't be read: {error.strerror}", "Check the disk it lies on."
            ) from error
        raise CheckpointError(
            f"{path} is damaged: it does not have the {checksum.kind.upper()} that the hub gave for it",
            f"Delete {path.resolve()} and download it again.",
        )


def _always(_file: str, _output_left: int) -> bool:
    return True


def _stays(_file: str) -> None:
    """Local files are never touched."""


def position_of(header: SafetensorsHeader, name: str, row: int) -> int:
    """The position in its file at which a row of a tensor begins."""
    stored = header.tensors[name]
    return header.data_offset + stored.start + row * math.prod(stored.shape[1:]) * ITEM_BYTES[stored.dtype]


def tensors_of(headers: Mapping[str, SafetensorsHeader]) -> Mapping[str, SourceTensor]:
    """Every tensor of all files by its name."""
    return {
        name: SourceTensor(name=name, dtype=info.dtype, shape=info.shape, file=file)
        for file, header in headers.items()
        for name, info in header.tensors.items()
    }


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


def _header(path: Path, *, index: str) -> SafetensorsHeader:
    if not path.is_file():
        raise ConversionError(f"{path} is missing, but {index} names it", _AGAIN)
    return read_header(path)


def check_index(
    headers: Mapping[str, SafetensorsHeader], placed: Mapping[str, frozenset[str] | None], *, index: str
) -> None:
    """Raises ConversionError where the index and the files' own headers contradict each other."""
    for file, names in placed.items():
        if names is None:
            continue
        held = headers[file].tensors.keys()
        if absent := sorted(names - held):
            raise ConversionError(f"{index} places {absent[0]} in {file}, which does not hold it", _AGAIN)
        if unplaced := sorted(held - names):
            raise ConversionError(f"{file} holds {unplaced[0]}, which {index} does not place there", _AGAIN)
