"""`magistral chat`: the same as `magistral` alone."""

from magistral_mlx_tui.cli import configure as configure
from magistral_mlx_tui.cli import run as run

SUMMARY = "talk with the model in the app; --plain: line by line, for screen readers and pipes"
