"""Where LM Studio keeps its models on this computer.

As LM Studio itself decides (findLMStudioHome of https://github.com/lmstudio-ai/lmstudio.js): the folder that
`~/.lmstudio-home-pointer` names, else the old `~/.cache/lm-studio` where it exists, else `~/.lmstudio`. Its
`settings.json` may put the models elsewhere (`downloadsFolder`).
"""

import json
from pathlib import Path
from typing import cast

from magistral_mlx.errors import ConversionError

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
