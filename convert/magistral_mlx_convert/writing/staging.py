"""Where a conversion works until it is whole: a hidden sibling of the target, behind a lock.

parent/NAME                    appears by one rename, complete
parent/.NAME.partial/model/    grows
parent/.NAME.partial/journal.json
parent/.NAME.partial/source/   files of a hub's source that wait for their use
parent/.NAME.lock              held while a run works; the system lets it go however the run ends
"""

import fcntl
import os
import shlex
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from magistral_mlx.checkpoint.folder import MANIFEST_FILE
from magistral_mlx.errors import ConversionError
from magistral_mlx.storage.paths import typed_path
from magistral_mlx_convert.system import sync
from magistral_mlx_convert.writing.shard_file import sync_folder


class Workplace:
    """The hidden folder of one target; made by `open_workplace`, with the lock held."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.partial = target.parent / f".{target.name}.partial"
        self.model = self.partial / "model"
        self.source = self.partial / "source"

    def clear(self) -> None:
        """Removes what an earlier run converted and starts an empty folder; what it fetched stays."""
        for path in self.partial.iterdir() if self.partial.is_dir() else ():
            if path.is_dir() and path != self.source:
                shutil.rmtree(path)
            elif path != self.source:
                path.unlink()
        self.model.mkdir(parents=True)

    def remove(self) -> None:
        if self.partial.exists():
            shutil.rmtree(self.partial)

    def publish(self) -> None:
        """Makes the folder durable and gives it its name.

        Raises:
            ConversionError: something took the name meanwhile.
        """
        for path in sorted(self.model.iterdir()):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                sync(descriptor)
            finally:
                os.close(descriptor)
        sync_folder(self.model)
        _refuse_existing(self.target)
        self.model.rename(self.target)
        sync_folder(self.target.parent)
        self.remove()


@contextmanager
def open_workplace(target: Path) -> Generator[Workplace]:
    """Locks `target` against other runs and gives its workplace. What an earlier run left is still there.

    Raises:
        ConversionError: the target exists, another run works on it, or its parent can't be written.
    """
    target = typed_path(target)
    target = target.parent.resolve() / target.name
    _refuse_existing(target)
    lock = target.parent / f".{target.name}.lock"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _locked(lock)
    except OSError as error:
        raise ConversionError(
            f"{target.parent} can't be written: {error.strerror}", "Choose another folder with --to."
        ) from error
    if descriptor is None:
        raise ConversionError(
            f"Another conversion is writing {target}", "Wait for it, or choose another folder."
        )
    try:
        # The other run may have finished between the first look and the lock.
        _refuse_existing(target)
        yield Workplace(target)
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def _locked(path: Path) -> int | None:
    """An open, locked file; None when someone else holds the lock."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        # A holder that finished between open and flock took the file's name away: lock the new one.
        if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
        os.close(descriptor)


def _refuse_existing(target: Path) -> None:
    if target.exists() or target.is_symlink():
        remedy = "Remove it, or choose another folder with --to."
        if (target / MANIFEST_FILE).is_file():
            remedy += f" To publish it as it is: magistral models publish {shlex.quote(str(target))}."
        raise ConversionError(f"{target} already exists", remedy)
