"""Read a hub repository as its files arrive: headers first, then one weight file at a time.

Where a file comes from, in this order: the hub library's cache, which is only read; a file that an
interrupted run left; the hub. What is fetched lies beside the growing result and goes once it is used up, or
is kept in the library's cache if that is wanted. Every file is compared with the hub's checksum.
"""

import errno
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from threading import Lock

from magistral_mlx.checkpoint.safetensors_header import (
    ITEM_BYTES,
    LENGTH_BYTES,
    SafetensorsHeader,
    header_length,
    parse_header,
    read_header,
)
from magistral_mlx.errors import CheckpointError, ConversionError, NetworkError
from magistral_mlx.storage.units import format_disk
from magistral_mlx_convert.sources.hub import client as hub_client
from magistral_mlx_convert.sources.hub.arrivals import Arrivals, Fetched, Need, peak_bytes
from magistral_mlx_convert.sources.hub.checksums import Cancelled, keeps_to
from magistral_mlx_convert.sources.hub.client import RemoteFile, explained
from magistral_mlx_convert.sources.hub.growing_file import GrowingFile
from magistral_mlx_convert.sources.safetensors_files import RowReader, check_index, position_of, tensors_of
from magistral_mlx_convert.sources.source import SourceTensor, if_present
from magistral_mlx_convert.system import SPARE_BYTES

_HEADER_GUESS = 1 << 18
"""Bytes of a file that are fetched for its header: more than Magistral's headers take."""


class HubFiles:
    """`WeightFiles` of a revision of a repository.

    Args:
        repository: `owner/name`; `commit` pins it.
        placed: weight file -> the tensors that the index places in it, as `indexed_files` gives it.
        index: the index's name, for messages.
        files: size and checksum of each weight file.
        scratch: where fetched files wait; made when it is needed.
        keep: fetch into the library's cache instead, and leave the files there.

    Raises:
        NetworkError: the headers can't be fetched.
        CheckpointError: a header is damaged.
        ConversionError: headers and index contradict each other.
    """

    def __init__(
        self,
        repository: str,
        *,
        commit: str,
        placed: Mapping[str, frozenset[str] | None],
        index: str,
        files: Mapping[str, RemoteFile],
        scratch: Path,
        keep: bool,
    ) -> None:
        self._repository, self._commit = repository, commit
        self._files, self._scratch, self._keep = files, scratch, keep
        self._cached = {
            file: path
            for file in placed
            if (path := hub_client.cached(repository, revision=commit, file=file)) is not None
        }
        self._clear_out(set(placed))
        self._headers = {file: self._header(file) for file in placed}
        check_index(self._headers, placed, index=index)
        self.tensors: Mapping[str, SourceTensor] = tensors_of(self._headers)
        self._rows = RowReader(self._headers, path_of=self._path_of)
        self._arrivals: Arrivals | None = None
        self._tell: Callable[[Fetched], None] = lambda _: None
        self._arrived: dict[str, int] = {}
        self._to_fetch = 0
        self._lock = Lock()

    @property
    def identity(self) -> tuple[tuple[str, int, int], ...]:
        """See `Source.identity`: the checksums, whether a file is here or not."""
        return tuple((f"{file} {self._files[file].checksum.digest}", self._files[file].size, 0)
                     for file in self._headers)  # fmt: skip

    def read_rows(self, tensor: SourceTensor, first: int, into: memoryview) -> None:
        """See `WeightFiles.read_rows`."""
        self._rows.read(tensor, first, into)

    def read_tensor(self, name: str) -> bytes:
        """See `WeightFiles.read_tensor`: its bytes alone are fetched."""
        tensor = self.tensors[name]
        start = position_of(self._headers[tensor.file], name, 0)
        return self._bytes(tensor.file, start, math.prod(tensor.shape) * ITEM_BYTES[tensor.dtype])

    def close(self) -> None:
        """See `Source.close`."""
        self.cancel()
        self._rows.close()

    def peak_bytes(self, needs: Sequence[Need]) -> int:
        """See `Arriving.peak_bytes`."""
        missing = self._missing(needs)
        if not self._keep:
            return peak_bytes(needs, missing)
        cache = hub_client.cache_folder()
        output = peak_bytes(needs, {})
        if cache.stat().st_dev == _existing(self._scratch).stat().st_dev:
            return output + sum(missing.values())
        if (free := shutil.disk_usage(cache).free) < sum(missing.values()) + SPARE_BYTES:
            raise ConversionError(
                f"The cache {cache} has {format_disk(free)} free, but {format_disk(sum(missing.values()))} "
                "are to be downloaded and kept",
                "Free some space, leave --keep-source out, or set HF_HOME to a folder on another disk.",
            )
        return output

    def fetch_bytes(self, needs: Sequence[Need]) -> int:
        """See `Arriving.fetch_bytes`."""
        return sum(self._missing(needs).values())

    def expect(self, needs: Sequence[Need], tell: Callable[[Fetched], None]) -> None:
        """See `Arriving.expect`."""
        self._tell = tell
        self._to_fetch = self.fetch_bytes(needs)
        self._arrivals = Arrivals(needs, bring=self._bring, drop=self._drop, has_room=self._has_room)

    def consumed(self, count: int) -> None:
        """See `Arriving.consumed`."""
        if self._arrivals is not None:
            self._arrivals.consumed(count)

    def cancel(self) -> None:
        """See `Arriving.cancel`."""
        if self._arrivals is not None:
            self._arrivals.cancel()

    def _place(self, file: str) -> Path:
        """Named after its content too, so that another revision's file is never taken for it."""
        return self._scratch / f"{self._files[file].checksum.digest[:16]}-{file}"

    def _header(self, file: str) -> SafetensorsHeader:
        if file in self._cached:
            return read_header(self._cached[file])
        size = self._files[file].size
        named = Path(f"{file} of {self._repository}")
        start = self._bytes(file, 0, min(size, _HEADER_GUESS))
        end = LENGTH_BYTES + header_length(start, size=size, path=named)
        if len(start) < end:
            start = self._bytes(file, 0, end)
        return parse_header(start[LENGTH_BYTES:end], size=size, path=named)

    def _clear_out(self, files: set[str]) -> None:
        """Remove files that an unfinished conversion of something else had fetched."""
        ours = {path for file in files for path in (self._place(file), _part(self._place(file)))}
        for path in self._scratch.iterdir() if self._scratch.is_dir() else ():
            if path not in ours:
                path.unlink()

    def _bytes(self, file: str, start: int, count: int) -> bytes:
        with explained(self._repository, self._commit):
            got = hub_client.bytes_of(
                self._repository, revision=self._commit, file=file, start=start, count=count
            )
        if len(got) != count:
            raise NetworkError(
                f"The hub sent {len(got)} of {count} bytes of {file}", "Run the same command again."
            )
        return got

    def _missing(self, needs: Sequence[Need]) -> dict[str, int]:
        """File -> bytes that must be fetched, of the files that are still needed."""
        wanted = dict.fromkeys(need.tensor.file for need in needs)
        missing: dict[str, int] = {}
        for file in wanted:
            here = self._cached.get(file) or if_present(self._place(file))
            if here is None:
                part = if_present(_part(self._place(file)))
                missing[file] = max(self._files[file].size - (part.stat().st_size if part else 0), 0)
        return missing

    def _path_of(self, file: str) -> Path:
        # Read without a plan: everything is fetched as it is asked for, and kept until the end.
        return self._bring(file, lambda: False) if self._arrivals is None else self._arrivals.path(file)

    def _has_room(self, file: str, output_left: int) -> bool:
        if self._keep or file in self._cached or (self._place(file)).exists():
            return True
        free = shutil.disk_usage(_existing(self._scratch)).free
        return free >= output_left + self._files[file].size + SPARE_BYTES

    def _drop(self, file: str) -> None:
        self._rows.forget(file)
        (self._place(file)).unlink(missing_ok=True)

    def _bring(self, file: str, cancelled: Callable[[], bool]) -> Path:
        wanted = self._files[file]
        if (path := self._cached.get(file)) is not None:
            if keeps_to(path, wanted.checksum, cancelled=cancelled):
                return path
            self._tell(Fetched(note=f"{path.resolve()} is damaged: {file} is fetched again, elsewhere"))
        elif self._keep:
            return self._into_cache(file, cancelled)
        try:
            return self._into_scratch(file, cancelled)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise ConversionError(
                f"{self._place(file)} can't be written: {error.strerror or error}",
                "Free some space and run the same command again."
                if full
                else "Choose another folder with --to.",
            ) from error

    def _into_scratch(self, file: str, cancelled: Callable[[], bool]) -> Path:
        wanted, path = self._files[file], self._place(file)
        if path.exists():
            if path.stat().st_size == wanted.size and keeps_to(path, wanted.checksum, cancelled=cancelled):
                return path
            self._tell(Fetched(note=f"{path} differs from the hub's file and is fetched again"))
            path.unlink()
        self._scratch.mkdir(parents=True, exist_ok=True)
        for attempt in ("first", "last"):
            with GrowingFile(
                _part(path),
                size=wanted.size,
                checksum=wanted.checksum,
                cancelled=cancelled,
                tell_bytes=partial(self._count, file),
            ) as growing:
                with explained(self._repository, self._commit):
                    hub_client.fetch(
                        self._repository, revision=self._commit, file=file, size=wanted.size, into=growing
                    )
                whole = growing.has_arrived()
            if whole:
                return _part(path).rename(path)
            _part(path).unlink()
            if attempt == "first":
                self._tell(Fetched(note=f"{file} arrived damaged: it is fetched again"))
        raise NetworkError(
            f"{file} of {self._repository} arrived damaged twice: its checksum is not the one the hub names",
            "Check the connection and the disk, and run the same command again.",
        )

    def _into_cache(self, file: str, cancelled: Callable[[], bool]) -> Path:
        def tell(done: int, _: int) -> None:
            if cancelled():
                raise Cancelled
            self._count(file, done)

        with explained(self._repository, self._commit):
            path = hub_client.download_to_cache(
                self._repository, revision=self._commit, file=file, progress=tell
            )
        if keeps_to(path, self._files[file].checksum, cancelled=cancelled):
            return path
        raise CheckpointError(
            f"{path} is damaged: it does not have the checksum that the hub gave for it",
            f"Delete {path.resolve()} and run the same command again.",
        )

    def _count(self, file: str, done: int) -> None:
        with self._lock:
            self._arrived[file] = done
            total = sum(self._arrived.values())
        self._tell(Fetched(done=total, total=max(self._to_fetch, total)))


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there: what `disk_usage` and `stat` can ask."""
    return folder if folder.exists() else _existing(folder.parent)
