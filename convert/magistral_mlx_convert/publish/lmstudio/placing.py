"""A converted folder into LM Studio's: weights linked, small files copied or generated, all of it at once."""

import json
import re
import shutil
from pathlib import Path
from typing import cast

from magistral_mlx.checkpoint.folder import MANIFEST_FILE, Checkpoint, open_checkpoint, read_json
from magistral_mlx.checkpoint.manifest import SEAL, sealed
from magistral_mlx.errors import ConversionError, UsageError
from magistral_mlx.storage.atomic import hash_file
from magistral_mlx_convert.writing.shard_writer import explain_os_error
from magistral_mlx_convert.writing.side_files import to_json
from magistral_mlx_convert.writing.staging import Workplace, open_workplace

PUBLISHER = "magistral-mlx"
"""The publisher that LM Studio shows for a model that nobody published."""

_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def place_in_lmstudio(folder: Path, *, identifier: str | None = None) -> Path:
    """Puts a converted folder where LM Studio lists it.

    Weights are hard links where both lie on one disk, so that they take no space; else copies.

    Args:
        folder: written by `magistral convert`.
        identifier: `publisher/name` as LM Studio shows it; `PUBLISHER` and the model's name without it.

    Returns:
        The new folder.

    Raises:
        UsageError: the identifier is none.
        CheckpointError: the folder is not whole.
        ConversionError: the tokenizer made for LM Studio differs from mistral-common, a model of this name
            is there already, or LM Studio's folder can't be written.
    """
    # Imported here: these need the model's tokenizer.
    from magistral_mlx_convert.publish.lmstudio.checking import check_tokenizer
    from magistral_mlx_convert.publish.lmstudio.hf_files import hf_files

    checkpoint = open_checkpoint(folder)
    publisher, name = _identifier(identifier, checkpoint)
    target = models_folder() / publisher / name
    if target.exists() or target.is_symlink():
        raise ConversionError(
            f"LM Studio has a model {publisher}/{name} already", "Remove it there, or give another name."
        )
    generated = hf_files(checkpoint)
    check_tokenizer(generated, checkpoint)
    with open_workplace(target) as workplace:
        try:
            _fill(workplace, checkpoint, generated)
            workplace.move_to_target()
        except OSError as error:
            raise ConversionError(*explain_os_error(error, workplace.target)) from error
        finally:
            workplace.remove()
    return workplace.target


def _identifier(given: str | None, checkpoint: Checkpoint) -> tuple[str, str]:
    if given is None:
        # The name comes from a manifest: it is not trusted as a path.
        given = f"{PUBLISHER}/{re.sub(r'[^A-Za-z0-9._-]+', '-', checkpoint.name).strip('.-') or 'model'}"
    if not _ID.fullmatch(given):
        raise UsageError(
            f"{given!r} is not a publisher and a name", "Give publisher/name, such as me/magistral."
        )
    publisher, _, name = given.partition("/")
    return publisher, name


def _fill(workplace: Workplace, checkpoint: Checkpoint, generated: dict[str, bytes]) -> None:
    workplace.clear()
    for path in sorted(checkpoint.directory.iterdir()):
        if path.is_file() and not path.name.startswith(".") and path.name not in generated:
            _link(path, workplace.model / path.name)
    for name, data in generated.items():
        (workplace.model / name).write_bytes(data)
    if checkpoint.manifest is not None:
        _extend_manifest(workplace.model, generated)


def _link(source: Path, target: Path) -> None:
    """Weights may be linked; a small file that is edited there must not change here."""
    if source.suffix == ".safetensors":
        try:
            target.hardlink_to(source.resolve())
        except OSError:  # another disk, or one without links: the copy says what else may be wrong
            shutil.copyfile(source, target)
    else:
        shutil.copyfile(source, target)


def _extend_manifest(folder: Path, generated: dict[str, bytes]) -> None:
    """`magistral models verify` knows the new files too."""
    manifest = {key: value for key, value in read_json(folder / MANIFEST_FILE).items() if key != SEAL}
    files = dict(cast(dict[str, object], manifest.get("files", {})))
    for name, data in generated.items():
        files[name] = {"bytes": len(data), "sha256": hash_file(folder / name)}
    (folder / MANIFEST_FILE).write_bytes(to_json(sealed(manifest | {"files": files})))


_REMEDY = "Open LM Studio once, or mend the file."


def models_folder() -> Path:
    """The folder of LM Studio's models; it exists only once LM Studio has run.

    Raises:
        ConversionError: LM Studio's own files can't be read.
    """
    home = _home()
    settings = home / "settings.json"
    try:
        raw: object = json.loads(settings.read_bytes()) if settings.is_file() else {}
    except (OSError, ValueError, RecursionError) as error:
        raise ConversionError(
            f"{settings} can't be read: {error}", "Open LM Studio once, or mend it."
        ) from error
    chosen = cast(dict[str, object], raw).get("downloadsFolder") if isinstance(raw, dict) else None
    if isinstance(chosen, str) and chosen and Path(chosen).is_absolute():
        return Path(chosen)
    return home / "models"


def _home() -> Path:
    pointer = Path.home() / ".lmstudio-home-pointer"
    try:
        named = pointer.read_text("utf-8").strip() if pointer.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConversionError(
            f"{pointer} can't be read: {error}", "Open LM Studio once, or mend it."
        ) from error
    if named and Path(named).is_absolute():
        return Path(named)
    old = Path.home() / ".cache" / "lm-studio"
    return old if old.is_dir() else Path.home() / ".lmstudio"
