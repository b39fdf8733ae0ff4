"""Where a local folder came from, read from where it lies: the hub's cache names repository and commit."""

import re
from pathlib import Path

from magistral_mlx_convert.sources.source import Provenance

# <cache>/models--owner--name/snapshots/<commit>: the layout of the hub's cache.
_IN_HUB_CACHE = re.compile(r"models--([\w.-]+?)--([\w.-]+)/snapshots/([0-9a-f]{40})$")


def provenance_of(folder: Path, *, kind: str) -> Provenance:
    """What to record of `folder`; `kind` where it is not in the hub's cache."""
    if match := _IN_HUB_CACHE.search(folder.absolute().as_posix()):
        owner, name, commit = match.groups()
        return Provenance(kind="huggingface-hub", name=f"{owner}/{name}", revision=commit)
    return Provenance(kind=kind, name=folder.resolve().name)
