"""Ways to stop a conversion: Ctrl-C at a chosen event, a disk that fails at a chosen moment."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident

import pytest

from magistral_mlx.errors import ConversionError
from magistral_mlx_convert import Progress
from magistral_mlx_convert.writing import journal


@contextmanager
def failing_behind_a_mark() -> Iterator[None]:
    """The conversion inside fails once its journal vouches for a finished file and a part of the next one."""
    save = journal.save

    def save_and_fail(folder: Path, progressed: journal.Progressed) -> None:
        save(folder, progressed)
        if len(progressed.finished) > 1 and progressed.mark is not None:
            raise OSError(errno.EIO, "Input/output error")

    with pytest.MonkeyPatch.context() as failing:
        failing.setattr(journal, "save", save_and_fail)
        with pytest.raises(ConversionError, match="Input/output error"):
            yield


class StopAt:
    """A progress callback that raises `KeyboardInterrupt` at the `count`th event of the calling thread.

    The thread that fetches would only see an error.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.thread = get_ident()

    def __call__(self, event: Progress) -> None:
        self.count -= get_ident() == self.thread
        if self.count == 0 and get_ident() == self.thread:
            raise KeyboardInterrupt
