"""Small files of a source: JSON objects and files that may be absent, with errors that name them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from magistral_mlx.errors import CheckpointError, ConversionError


def read_json(path: Path, *, remedy: str) -> Mapping[str, object]:
    """The JSON object in `path`.

    Raises:
        ConversionError: the file is missing or can't be read.
        CheckpointError: it does not hold a JSON object.
    """
    try:
        raw: object = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise ConversionError(f"{path} is missing", remedy) from error
    except OSError as error:
        raise ConversionError(f"{path} can't be read: {error.strerror}", "Check its permissions.") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not valid JSON: {error}", remedy) from error
    if not isinstance(raw, dict):
        raise CheckpointError(f"{path} is not a JSON object", remedy)
    return cast(dict[str, object], raw)


def if_present(path: Path) -> Path | None:
    """`path` where it is a file."""
    return path if path.is_file() else None
