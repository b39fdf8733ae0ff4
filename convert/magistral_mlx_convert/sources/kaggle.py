"""A Kaggle handle: only the files that are needed, into kagglehub's own cache, which keeps them.

Handles have four or five parts, `owner/model/framework/variation[/version]`. Of a model in GGUF files the one
that is meant follows (`/name.gguf`): kagglehub fetches a file by its name, and lists none. It is an extra of
this project; credentials are its own (`~/.kaggle/kaggle.json`, `KAGGLE_USERNAME` and `KAGGLE_KEY`).
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from magistral_mlx.errors import ConversionError
from magistral_mlx_convert.progress.events import Progress, Stage
from magistral_mlx_convert.sources import huggingface, kaggle_client, native
from magistral_mlx_convert.sources.source import Provenance

PREFIX = "kaggle:"

EXAMPLE = "kaggle:mistral-ai/magistral-small-2509/transformers/magistral-small-2509/1"

_HANDLE = re.compile(
    r"(?P<model>[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*){3}(/[1-9]\d*)?)(/(?P<gguf>[A-Za-z0-9][\w.-]*\.gguf))?"
)

_VISION_PARTS = ("mmproj-BF16.gguf", "mmproj-F16.gguf", "mmproj-F32.gguf")
"""Usual names of vision parts; the first that exists is taken."""

_UNVERSIONED = 3
"""Slashes of a handle without version."""

_NATIVE_FILES = (native.PARAMS_FILE, "tekken.json", "SYSTEM_PROMPT.txt", "generation_config.json")


def download_kaggle(source: str, *, progress: Callable[[Progress], None]) -> tuple[Path, Provenance]:
    """Fetch a model into kagglehub's cache; return its folder or GGUF file, and its provenance.

    Args:
        source: the handle behind `kaggle:`.
        progress: told which file comes.

    Raises:
        ConversionError: the handle is not valid, kagglehub is not installed, or the model has no
            known weights.
        NetworkError: Kaggle did not answer, or does not show the model.
    """
    named = _HANDLE.fullmatch(source.removeprefix(PREFIX))
    if named is None:
        raise ConversionError(
            f"{source} is not a Kaggle handle: owner/model/framework/variation, or that and a version",
            f"Give it as on the model's page, such as {EXAMPLE}.",
        )
    handle: str = named["model"]
    gguf: str | None = named["gguf"]
    model = _Model(handle, progress)
    found = _gguf_file(model, gguf) if gguf else _hugging_face_files(model) or _native_files(model)
    if found is None:
        wanted = gguf or f"{huggingface.SINGLE_FILE}, no {huggingface.INDEX_FILE} and no {native.SINGLE_FILE}"
        raise ConversionError(
            f"{handle} on Kaggle holds no {wanted}, or there is no such model",
            f"Look at the model's page; a handle that works looks like {EXAMPLE}. "
            "Of a model in GGUF files name one behind it: /name.gguf.",
        )
    folder = found.parent if gguf else found
    version = folder.name if folder.name.isdecimal() else None
    return found, Provenance(kind="kaggle", name="/".join(handle.split("/")[:4]), revision=version)


class _Model:
    """One model; files come one by one, because the whole of it holds the weights twice."""

    def __init__(self, handle: str, progress: Callable[[Progress], None]) -> None:
        self.handle, self._progress = handle, progress

    def fetch(self, file: str) -> Path | None:
        """The file in kagglehub's cache; None where the model has none of that name."""
        self._progress(Progress(stage=Stage.DOWNLOAD, note=f"Fetching {file} from Kaggle"))
        path = kaggle_client.download(self.handle, file)
        if path is not None and self.handle.count("/") == _UNVERSIONED and path.parent.name.isdecimal():
            # A newer version may appear between two files.
            self.handle += f"/{path.parent.name}"
        return path

    def fetch_all(self, files: Iterable[str]) -> None:
        """Files that may be absent."""
        for file in files:
            self.fetch(file)


def _hugging_face_files(model: _Model) -> Path | None:
    config = model.fetch("config.json")
    if config is None:
        return None
    folder = config.parent
    index = model.fetch(huggingface.INDEX_FILE)
    weights = huggingface.weight_files(folder) if index else {huggingface.SINGLE_FILE: None}
    if any(model.fetch(file) is None for file in weights):
        return None
    model.fetch_all(
        file for file in huggingface.SMALL_FILES if file not in (config.name, huggingface.INDEX_FILE)
    )
    return folder


def _gguf_file(model: _Model, file: str) -> Path | None:
    path = model.fetch(file)
    if path is not None:
        next(filter(None, map(model.fetch, _VISION_PARTS)), None)
    return path


def _native_files(model: _Model) -> Path | None:
    weights = model.fetch(native.SINGLE_FILE)
    if weights is None:
        return None
    model.fetch_all(_NATIVE_FILES)
    return weights.parent
