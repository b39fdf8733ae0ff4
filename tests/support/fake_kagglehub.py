"""A stand-in for kagglehub 1.0: one model in one version, cached as the library caches, one file at a time.

`model_download(handle, path)` gives `<cache>/models/<handle>/<version>/<path>`; a file that the model does
not have is `KaggleApiHTTPError` with a response of status 404, as the real library was seen to do on
loopback.
"""

import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest
import requests

HANDLE = "mistral-ai/magistral-small-2509/transformers/magistral-small-2509"


class KaggleApiHTTPError(requests.HTTPError):
    """What the library raises on any answer but 200."""


class UnauthenticatedError(Exception):
    """No credentials."""


class DataCorruptionError(Exception):
    """A checksum that is not the announced one."""


@dataclass
class Kaggle:
    """What the stand-in has and was asked for."""

    folder: Path
    cache: Path
    version: int = 1
    fetched: list[str] = field(default_factory=list[str])
    failure: Exception | None = None
    """Raised by every call instead."""

    def model_download(self, handle: str, path: str) -> str:
        """As the library's function, where a file is named."""
        sys.stdout.write("a hint of the library\n")
        if self.failure is not None:
            raise self.failure
        owner, version = handle, str(self.version)
        if handle.count("/") == 4:
            owner, _, version = handle.rpartition("/")
        if owner != HANDLE or version != str(self.version) or not (self.folder / path).is_file():
            raise status(404)
        target = self.cache / "models" / owner / version / path
        if not target.is_file():
            self.fetched.append(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.folder / path, target)
        return str(target)


def status(code: int) -> KaggleApiHTTPError:
    """The error for an answer of that status."""
    response = requests.Response()
    response.status_code = code
    return KaggleApiHTTPError(f"{code} Client Error.", response=response)


def install(kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts the stand-in where `import kagglehub` finds it."""
    package, exceptions = ModuleType("kagglehub"), ModuleType("kagglehub.exceptions")
    vars(package).update(model_download=kaggle.model_download, exceptions=exceptions, __path__=[])
    for error in (KaggleApiHTTPError, UnauthenticatedError, DataCorruptionError):
        setattr(exceptions, error.__name__, error)
    monkeypatch.setitem(sys.modules, "kagglehub", package)
    monkeypatch.setitem(sys.modules, "kagglehub.exceptions", exceptions)
