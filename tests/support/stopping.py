"""Ctrl-C at a chosen event of a conversion."""

from threading import get_ident

from magistral_mlx_convert import Progress


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
