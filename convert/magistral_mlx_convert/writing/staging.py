"""Where a conversion works until it is complete: a hidden folder beside the target, behind a lock.

parent/NAME                    appears by one rename, complete
parent/.NAME.partial/MARK_FILE says that the folder is ours
parent/.NAME.partial/model/    grows
parent/.NAME.partial/journal.json
parent/.NAME.partial/source/   files of a hub's source that wait for their use
parent/.NAME.lock              held while a run works; the system releases it however the run ends

Nothing is followed, overwritten or deleted that a conversion did not make.
"""

import fcntl
import os
import shlex
import shutil
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from magistral_mlx.checkpoint.folder import MANIFEST_FILE
from magistral_mlx.errors import ConversionError
from magistral_mlx.storage.atomic import read_bytes, sync, sync_folder
from magistral_mlx.storage.paths import typed_path

MARK_FILE = ".magistral-mlx"
_MARK = b"An unfinished conversion of magistral-mlx. Its next run goes on here.\n"
_LOCK_MARK = b"A conversion of magistral-mlx works here.\n"


class Workplace:
    """The hidden folder of one target; made by `open_workplace`, with the lock held.

    Raises:
        ConversionError: its place is taken by something that no conversion made.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.partial = target.parent / f".{target.name}.partial"
        self.model = self.partial / "model"
        self.source = self.partial / "source"
        self._refuse_foreign()

    def begin(self) -> None:
        """Make the folder, with the mark that tells it from foreign ones."""
        self.partial.mkdir(exist_ok=True)
        if self._mark() != _MARK:
            (self.partial / MARK_FILE).write_bytes(_MARK)

    def clear(self) -> None:
        """Remove everything an earlier run converted and start an empty folder; fetched files stay."""
        self.begin()
        for path in self.partial.iterdir():
            if path.name not in (MARK_FILE, self.source.name):
                _remove(path)
        self.model.mkdir()

    def remove(self) -> None:
        """Remove the whole folder."""
        if self.partial.exists():
            shutil.rmtree(self.partial)

    def remove_unused(self) -> None:
        """Remove the folder where nothing was made in it."""
        if self.partial.exists() and [path.name for path in self.partial.iterdir()] == [MARK_FILE]:
            self.remove()

    def move_to_target(self) -> None:
        """Make the finished model durable, rename it to the target and remove the rest.

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

    def _refuse_foreign(self) -> None:
        """Accept no folder, an empty one, or one with our mark and no links in place of its folders."""
        if not os.path.lexists(self.partial):
            return
        folders = (self.partial, self.model, self.source)
        if any(os.path.lexists(folder) and not _is_real_folder(folder) for folder in folders):
            raise _taken(self.partial)
        names = [path.name for path in self.partial.iterdir()]
        # A run that was killed while it wrote the mark left nothing else.
        begun = names in ([], [MARK_FILE]) and _MARK.startswith(self._mark() or b"")
        if not begun and self._mark() != _MARK:
            raise _taken(self.partial)

    def _mark(self) -> bytes | None:
        mark = self.partial / MARK_FILE
        try:
            return None if mark.is_symlink() else read_bytes(mark, most=len(_MARK))
        except OSError:
            return None


def _is_real_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _remove(path: Path) -> None:
    if _is_real_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink()


def _taken(path: Path) -> ConversionError:
    return ConversionError(
        f"{path} is in the way: magistral-mlx did not make it, and leaves it alone",
        "Move it away, or choose another folder with --to.",
    )


@contextmanager
def open_workplace(target: Path) -> Generator[Workplace]:
    """Lock `target` against other runs and yield its workplace, with everything an earlier run left.

    Raises:
        ConversionError: the target exists, another run works on it, its parent can't be written, or
            something foreign lies in the workplace's place.
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
        workplace = Workplace(target)
        try:
            yield workplace
        finally:
            workplace.remove_unused()
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def _locked(path: Path) -> int | None:
    """Open and lock the lock file; None when someone else holds it."""
    while True:
        descriptor = _open_lock(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        # A holder that finished between open and flock took the file's name away: lock the new one.
        if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
            os.pwrite(descriptor, _LOCK_MARK, 0)
            return descriptor
        os.close(descriptor)


def _open_lock(path: Path) -> int:
    """Open a lock file, a new one or one that a run left; refuse everything else of that name."""
    if path.is_symlink():
        raise _taken(path)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o644)
    is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
    if not is_file or not _LOCK_MARK.startswith(os.pread(descriptor, len(_LOCK_MARK) + 1, 0)):
        os.close(descriptor)
        raise _taken(path)
    return descriptor


def _refuse_existing(target: Path) -> None:
    if target.exists() or target.is_symlink():
        remedy = "Remove it, or choose another folder with --to."
        if (target / MANIFEST_FILE).is_file():
            remedy += f" To publish it as it is: magistral models publish {shlex.quote(str(target))}."
        raise ConversionError(f"{target} already exists", remedy)
