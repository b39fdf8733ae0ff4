"""A hub repository of GGUF files: which one is meant, and that one with its vision part in the hub's cache.

Such repositories hold the model in a dozen types; `owner/name:Q8_0` says which, as llama.cpp and Ollama
spell it.
"""

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from magistral_mlx.errors import CheckpointError, ConversionError
from magistral_mlx.storage.units import format_disk
from magistral_mlx_convert.progress.events import Progress, Stage
from magistral_mlx_convert.sources.hub import client as hub_client
from magistral_mlx_convert.sources.hub.checksums import keeps_to
from magistral_mlx_convert.sources.hub.client import RemoteFile, explained
from magistral_mlx_convert.system import SPARE_BYTES

_PART = re.compile(r"(.+)-\d{5}-of-\d{5}\.gguf")
_VISION_TYPES = ("bf16", "f32", "f16")
"""Types of a vision part, the preferred first: all of them are exact for a bf16 model."""


def holds_gguf(files: Mapping[str, RemoteFile]) -> bool:
    """Tell if a repository has GGUF files."""
    return any(name.endswith(".gguf") for name in files)


def chosen_files(names: Sequence[str], tag: str | None, *, repository: str) -> list[str]:
    """Choose the files of one model (several, where it comes in parts), and its vision part.

    A repository may keep each type in a folder of its own; the vision part then often lies above them.

    Args:
        names: the repository's files, by their paths in it.
        tag: the end of the model's file name, such as `Q8_0`; None where there is only one.

    Raises:
        ConversionError: none or several models fit; the text names them.
    """
    ggufs = sorted(name for name in names if name.endswith(".gguf"))
    vision_parts = [name for name in ggufs if "mmproj" in name.lower()]
    models: dict[str, list[str]] = {}
    for name in ggufs:
        if name not in vision_parts:
            part = _PART.fullmatch(name)
            models.setdefault(part.group(1) if part else name.removesuffix(".gguf"), []).append(name)
    meant = [stem for stem in models if tag is None or stem.lower().endswith(f"-{tag.lower()}")]
    if len(meant) != 1:
        found = ", ".join(sorted(models)) or "no text model"
        raise ConversionError(
            f"{repository} holds {found}", f"Say which, such as {repository}:Q8_0 for the one that ends so."
        )
    parts = models[meant[0]]
    folder = PurePosixPath(parts[0]).parent
    return (
        parts
        + sorted(vision_parts, key=lambda part: (PurePosixPath(part).parent != folder, *_rank(part)))[:1]
    )


def vision_part(names: Sequence[str]) -> str | None:
    """The vision part among the files that `chosen_files` chose."""
    return names[-1] if "mmproj" in names[-1].lower() else None


def fetch_gguf(
    repository: str,
    *,
    commit: str,
    tag: str | None,
    files: Mapping[str, RemoteFile],
    progress: Callable[[Progress], None],
) -> tuple[Path, Path | None]:
    """Fetch one model into the cache; return the paths of its text file and its vision part.

    Raises:
        ConversionError: the model is ambiguous, or the disk is too full.
        NetworkError: the hub did not answer.
        CheckpointError: a file does not have the checksum that the hub names.
    """
    names = chosen_files(list(files), tag, repository=repository)
    missing = [name for name in names if hub_client.cached(repository, revision=commit, file=name) is None]
    total = sum(files[name].size for name in missing)
    cache = hub_client.cache_folder()
    free = shutil.disk_usage(cache).free
    if missing and free < total + SPARE_BYTES:
        raise ConversionError(
            f"The cache {cache} has {format_disk(free)} free, but the download takes {format_disk(total)}",
            "Free some space, or set HF_HOME to a folder on another disk.",
        )
    done = 0
    paths: list[Path] = []
    for name in names:

        def tell(bytes_done: int, _: int, before: int = done) -> None:
            progress(Progress(stage=Stage.DOWNLOAD, bytes_done=before + bytes_done, bytes_total=total))

        with explained(repository, commit):
            path = hub_client.download_to_cache(repository, revision=commit, file=name, progress=tell)
        if name in missing:
            done += files[name].size
            if not keeps_to(path, files[name].checksum):
                raise CheckpointError(
                    f"{path} is damaged: it does not have the checksum that the hub gave for it",
                    f"Delete {path.resolve()} and run the same command again.",
                )
        paths.append(path)
    return paths[0], paths[-1] if vision_part(names) else None


def _rank(name: str) -> tuple[int, str]:
    return next(
        (place for place, kind in enumerate(_VISION_TYPES) if kind in name.lower()), len(_VISION_TYPES)
    ), name
