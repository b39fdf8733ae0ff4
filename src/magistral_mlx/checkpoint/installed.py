"""Which models this computer has: the user's converted folders, and the bundled miniature."""

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Protocol

import psutil

from magistral_mlx.checkpoint.folder import open_checkpoint
from magistral_mlx.errors import CheckpointError, ConversionError, UsageError
from magistral_mlx.sanitize import sanitize_line
from magistral_mlx.storage.atomic import hash_file
from magistral_mlx.storage.paths import data_directory, models_directory, typed_path

MINIATURE = "miniature"
"""Name of the bundled model."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, in words, how much of it is done and how much there is (0: unknown)."""

_USABLE_SHARE = 0.7
"""Share of the machine's memory for weights; the rest is for context, images and other programs."""

_CHECKPOINT_SUFFIXES = (".json", ".safetensors", ".txt")


@dataclass(frozen=True)
class InstalledModel:
    """A converted folder in the models directory."""

    name: str
    """The folder's name."""
    path: Path
    size_bytes: int
    """Bytes of its weight files."""
    converted_at: datetime


class _Moment(Protocol):
    """The part of the converter's progress in use here."""

    @property
    def bytes_done(self) -> int: ...
    @property
    def bytes_total(self) -> int: ...


def installed_models() -> list[InstalledModel]:
    """List the converted folders in the models directory by name, unchecked and without the miniature."""
    directory = models_directory()
    if not directory.is_dir():
        return []
    folders = sorted(path for path in directory.iterdir() if _looks_converted(path))
    return [_describe(folder) for folder in folders]


def best_installed(models: list[InstalledModel], *, total_bytes: int | None = None) -> InstalledModel | None:
    """Choose the model to use when none was named.

    The largest whose weights leave the machine 30 % of its memory, as fewer bits cost quality; the smallest
    if none does. Of equally large ones the newest. None without models.

    Args:
        total_bytes: the machine's memory; asked of the system by default.
    """
    usable = _USABLE_SHARE * (total_bytes or psutil.virtual_memory().total)
    fitting = [model for model in models if model.size_bytes <= usable]
    if fitting:
        return max(fitting, key=lambda model: (model.size_bytes, model.converted_at))
    return min(models, key=lambda model: model.size_bytes, default=None)


def found_elsewhere() -> list[tuple[str, str]]:
    """Magistrals of other programs that `magistral convert NAME` takes: their names, and where they lie.

    By the finder that registered itself; without it, none.
    """
    found = entry_points(group="magistral_mlx.finder", name="default")
    finders = [each.load() for each in found]
    return [model for finder in finders for model in finder()]


def resolve(model: "str | os.PathLike[str] | None", *, progress: Progress | None = None) -> Path:
    """Return the converted folder that `model` names.

    A name wins over a folder of that name in the working directory; write "./name" for the folder.

    Args:
        model: "miniature", the name of an installed model, or a folder; None: the best installed one, or the
            miniature if none is.
        progress: told how far it is while the miniature is converted, on its first use.

    Raises:
        CheckpointError: there is no such model.
        UsageError: `model` is neither a name nor a path.
        ConversionError: the miniature cannot be converted or stored.
    """
    if model is None:
        best = best_installed(installed_models())
        return best.path if best else miniature_folder(progress=progress)
    if model == MINIATURE:
        return miniature_folder(progress=progress)
    if not isinstance(model, str | os.PathLike):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
        raise UsageError(f"The model is of type {type(model).__name__}", "Give a name or a path.")
    text = os.fspath(model)
    if isinstance(model, str) and Path(text).name == text and _looks_converted(models_directory() / text):
        return models_directory() / text
    if text and typed_path(text).exists():
        return typed_path(text)
    names = ", ".join([MINIATURE, *(each.name for each in installed_models())])
    raise CheckpointError(
        f'There is no folder and no installed model "{sanitize_line(text)}"',
        f"Installed are: {sanitize_line(names)}. Convert a model with `magistral convert`.",
    )


def miniature_folder(*, progress: Progress | None = None) -> Path:
    """Return the converted miniature; convert it on first use and after an update.

    Several processes may do this at once: each converts into its own folder, and the first to finish
    gives its folder the final name.

    Raises:
        ConversionError: it cannot be converted or stored.
    """
    from magistral_mlx.miniature import checkpoint_directory

    source = checkpoint_directory()
    home = data_directory() / MINIATURE
    target = home / f"{version('magistral-mlx')}-{_digest(source)[:16]}"
    if _is_whole(target):
        return target
    draft = home / f"draft-{uuid.uuid4().hex}"
    try:
        home.mkdir(parents=True, exist_ok=True)
        _convert(source, draft, progress)
        _publish(draft, target)
    except OSError as error:
        raise ConversionError(
            f"The miniature cannot be stored in {home} ({error.strerror or error})",
            "Make room or correct its permissions, or set MAGISTRAL_MLX_HOME to another folder.",
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def _publish(draft: Path, target: Path) -> None:
    """Give `draft` its final name, unless another process was first; replace a damaged folder."""
    try:
        draft.rename(target)
    except OSError:
        if _is_whole(target):
            return
        damaged = target.with_name(f"draft-{uuid.uuid4().hex}")
        target.rename(damaged)
        draft.rename(target)
        shutil.rmtree(damaged, ignore_errors=True)


def _convert(source: Path, target: Path, progress: Progress | None) -> None:
    """Call the converter from the entry points; the core does not import it."""
    found = entry_points(group="magistral_mlx.converter", name="default")
    if not found:
        raise ConversionError(
            "The converter of the miniature is not installed",
            "Install magistral-mlx again.",
        )

    def tell(moment: _Moment) -> None:
        if progress is not None:
            progress("Converting the miniature", moment.bytes_done, moment.bytes_total)

    convert = next(iter(found)).load()
    convert(source, target, name=MINIATURE, resume=False, progress=tell)


def _digest(folder: Path) -> str:
    """Hash the names and contents of a checkpoint's files with SHA-256, without the code beside them."""
    total = hashlib.sha256()
    for file in sorted(path for path in folder.iterdir() if path.suffix in _CHECKPOINT_SUFFIXES):
        total.update(file.name.encode() + b"\0" + bytes.fromhex(hash_file(file)))
    return total.hexdigest()


def _looks_converted(folder: Path) -> bool:
    try:
        return (folder / "config.json").is_file() and (folder / "tekken.json").is_file()
    except OSError:  # it may not be looked into
        return False


def _is_whole(folder: Path) -> bool:
    try:
        open_checkpoint(folder)
    except CheckpointError:
        return False
    return True


def _describe(folder: Path) -> InstalledModel:
    return InstalledModel(
        name=folder.name,
        path=folder,
        size_bytes=sum(file.stat().st_size for file in folder.glob("*.safetensors")),
        converted_at=datetime.fromtimestamp((folder / "config.json").stat().st_mtime, UTC),
    )
