"""Models that are on this computer already, found by name: LM Studio's folder and the hub's cache.

LM Studio keeps <folder>/<publisher>/<name>/ with the model's files; the folder is `models` in its home, or
what `downloadsFolder` of its settings.json says (https://lmstudio.ai/docs/basics/import-model). The hub's
cache keeps models--<owner>--<name>/snapshots/<commit>/.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from magistral_mlx.errors import ConversionError
from magistral_mlx.storage.atomic import read_json
from magistral_mlx.storage.paths import typed_path
from magistral_mlx_convert.sources.source import MOST_JSON_BYTES, Provenance

_OLD_LM_STUDIO = Path(".cache") / "lm-studio"


@dataclass(frozen=True)
class FoundModel:
    """A folder with a model, and what to record of it."""

    folder: Path
    provenance: Provenance


def find_model(name: str) -> FoundModel | None:
    """The model of that name, `publisher/name` or `name` alone; capitals do not matter.

    None where there is none.

    Raises:
        ConversionError: several have that name.
    """
    found = _in_lm_studio(name)
    # The hub's own way into its cache takes a full id, and knows revisions.
    if "/" not in name:
        found += _in_hub_cache(name)
    if len(found) > 1:
        names = ", ".join(sorted(model.provenance.name for model in found))
        raise ConversionError(f"Several models here are called {name}: {names}", "Name publisher and model.")
    return found[0] if found else None


def found_magistrals() -> list[tuple[str, str]]:
    """Every Magistral here that `find_model` would find, as its full name and where it lies, in words."""
    places = {"lm-studio": "LM Studio's folder", "huggingface-hub": "the hub's cache"}
    found = [*_in_lm_studio(None), *(model for model in _hub_models() if _holds_weights(model.folder))]
    named = {model.provenance.name: places[model.provenance.kind] for model in found}
    return [(name, place) for name, place in named.items() if "magistral" in name.lower()]


def find_tekken(*, ids: int) -> Path | None:
    """A tekken.json of Mistral's own in the hub's cache, with that many ids; for folders that lack one."""
    for model in _hub_models():
        if model.provenance.name.lower().startswith("mistralai/magistral-small"):
            path = model.folder / "tekken.json"
            if path.is_file() and _vocabulary_size(path) == ids:
                return path
    return None


def lm_studio_folders() -> list[Path]:
    """List the folders where LM Studio keeps models on this computer."""
    home = Path.home()
    homes = [home / ".lmstudio", home / _OLD_LM_STUDIO]
    pointer = home / ".lmstudio-home-pointer"
    if pointer.is_file():
        homes.insert(0, typed_path(pointer.read_text("utf-8", "replace").strip()))
    folders: list[Path] = []
    for each in homes:
        folders += [chosen] if (chosen := _chosen_folder(each / "settings.json")) else []
        folders.append(each / "models")
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


def _chosen_folder(settings: Path) -> Path | None:
    try:
        raw = read_json(settings, most=MOST_JSON_BYTES)
    except (OSError, ValueError):
        return None
    chosen = cast(dict[str, object], raw).get("downloadsFolder") if isinstance(raw, dict) else None
    return typed_path(chosen) if isinstance(chosen, str) and chosen else None


def _in_lm_studio(name: str | None) -> list[FoundModel]:
    """Models of that name; all where `name` is None."""
    publisher, _, model = (name or "").rpartition("/")
    return [
        FoundModel(folder, Provenance(kind="lm-studio", name=f"{folder.parent.name}/{folder.name}"))
        for models in lm_studio_folders()
        for folder in sorted(models.glob("*/*"))
        if (name is None or folder.name.lower() == model.lower())
        and publisher.lower() in ("", folder.parent.name.lower())
        and _holds_weights(folder)
    ]


def _in_hub_cache(name: str) -> list[FoundModel]:
    return [
        model
        for model in _hub_models()
        if model.provenance.name.rpartition("/")[2].lower() == name.lower() and _holds_weights(model.folder)
    ]


def _hub_models() -> list[FoundModel]:
    """The newest snapshot of every model in the hub's cache."""
    # Imported here: most conversions need no hub library.
    from magistral_mlx_convert.sources.hub import client as hub_client

    found: list[FoundModel] = []
    for repository in sorted(hub_client.cache_path().glob("models--*--*")):
        snapshots = sorted(repository.glob("snapshots/*"), key=lambda path: path.stat().st_mtime)
        if snapshots:
            _, owner, name = repository.name.split("--", 2)
            newest = snapshots[-1]
            provenance = Provenance(kind="huggingface-hub", name=f"{owner}/{name}", revision=newest.name)
            found.append(FoundModel(newest, provenance))
    return found


def _holds_weights(folder: Path) -> bool:
    return any(True for pattern in ("*.safetensors", "*.gguf") for _ in folder.glob(pattern))


def _vocabulary_size(tekken: Path) -> int | None:
    try:
        raw = cast(dict[str, dict[str, int]], read_json(tekken, most=64 << 20))
        return raw["config"]["default_vocab_size"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
