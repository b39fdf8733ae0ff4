"""Folders of this program; one variable overrides them all."""

import os
from pathlib import Path

import platformdirs


def typed_path(typed: str | Path) -> Path:
    """Return the path that people typed, `~` and `~user` included; an unknown user's stays as it is typed.

    `Path.expanduser` raises a RuntimeError there, which nobody expects of a path.
    """
    return Path(os.path.expanduser(typed))  # noqa: PTH111 - see above


def data_directory() -> Path:
    """Return the folder for everything the program keeps; `MAGISTRAL_MLX_HOME` overrides it."""
    override = os.environ.get("MAGISTRAL_MLX_HOME")
    return typed_path(override) if override else platformdirs.user_data_path("magistral-mlx", appauthor=False)


def models_directory() -> Path:
    """Return the folder of installed models, one converted folder each; its name is the model's name."""
    return data_directory() / "models"


def log_directory() -> Path:
    """Return the folder of log files; messages of failures name it."""
    return data_directory() / "logs"


def images_directory() -> Path:
    """Return the folder of kept images, each named by the SHA-256 of its bytes."""
    return data_directory() / "pictures"


def sessions_directory() -> Path:
    """Return the folder of kept conversations, one file each."""
    return data_directory() / "sessions"
