"""Any source to a 4-bit MLX checkpoint, streamed tensor by tensor.

Public names are imported on first use, so that finding the `convert` command costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from magistral_mlx_convert.conversion import convert
    from magistral_mlx_convert.progress.events import Progress, Stage
    from magistral_mlx_convert.sources.found import found_magistrals

_HOME_OF = {
    "Progress": "progress.events",
    "Stage": "progress.events",
    "convert": "conversion",
    "found_magistrals": "sources.found",
}

__all__ = ["Progress", "Stage", "convert", "found_magistrals"]


def __getattr__(name: str) -> object:
    if name in _HOME_OF:
        value = getattr(import_module(f"magistral_mlx_convert.{_HOME_OF[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
