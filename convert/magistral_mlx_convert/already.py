"""Whether a target is there because the same command made it, and was stopped while it published.

Such a folder is whole, so that only the publishing is left to do; any other is somebody's, and stays refused.
"""

import re
from pathlib import Path
from typing import cast

from magistral_mlx.checkpoint import MANIFEST_FILE, read_json
from magistral_mlx.errors import CheckpointError
from magistral_mlx.places import typed_path
from magistral_mlx_convert.recipe import Recipe
from magistral_mlx_convert.sources.provenance import provenance_of

_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def is_made_already(folder: Path, source: str, recipe: Recipe, *, revision: str | None, report: bool) -> bool:
    """Whether the manifest of `folder` names this source and recipe.

    Args:
        folder: the target of a conversion.
        source: as the user named it: a folder, a hub id, or the like.
        recipe: what was asked for, or the default.
        revision: as it was asked for; only a commit is compared, as a branch may have moved since.
        report: whether the folder must hold a comparison with its source.
    """
    if not (folder / MANIFEST_FILE).is_file():
        return False
    try:
        manifest = read_json(folder / MANIFEST_FILE)
    except CheckpointError:
        return False
    made_from = cast(dict[str, object], manifest.get("source") or {})
    made_by = cast(dict[str, object], manifest.get("recipe") or {})
    commit = revision if revision and _COMMIT.fullmatch(revision) else None
    return (
        made_from.get("name") == _name(source)
        and commit in (None, made_from.get("revision"))
        and (made_by.get("name"), made_by.get("dtype")) == (recipe.name, recipe.dtype)
        and (not report or manifest.get("comparison") is not None)
    )


def _name(source: str) -> str | None:
    """What a manifest calls a folder or a hub id; None where it tells less apart, as with GGUF."""
    path = typed_path(source)
    if path.is_dir():
        return provenance_of(path, kind="").name
    return source if _HUB_ID.fullmatch(source) else None
