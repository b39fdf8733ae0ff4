"""The interface that every kind of source implements."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, cast

from magistral_mlx.checkpoint.safetensors_header import ITEM_BYTES
from magistral_mlx.errors import CheckpointError, ConversionError
from magistral_mlx.storage import atomic

MOST_JSON_BYTES = 16 << 20
"""Limit of config, params and index; those of Magistral Small take under 100 kB."""


@dataclass(frozen=True)
class SourceTensor:
    """One tensor as the source delivers it: `dtype` in safetensors' spelling, rows along the first axis.

    The file may store it packed; `dtype` and `shape` describe the rows of `read_rows`. `name` is the file's.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: str
    """The file that holds it, for messages."""
    packed_bytes: int | None = None
    """Bytes in its file, where they differ from the rows as delivered."""
    blocks: str | None = None
    """The type of its GGUF blocks, where MLX can use their codes as they are."""
    channels_last: bool = False
    """A convolution is in MLX's order already: out, height, width, in."""

    @property
    def is_packed(self) -> bool:
        """Whether the file holds it in fewer bytes than are delivered."""
        delivered = math.prod(self.shape) * ITEM_BYTES[self.dtype]
        return self.packed_bytes is not None and self.packed_bytes < delivered


def in_blocks(tensor: SourceTensor) -> SourceTensor:
    """The same tensor with `read_rows` delivering its packed bytes: dtype U8, [rows, bytes]."""
    rows = tensor.shape[0]
    return replace(tensor, dtype="U8", shape=(rows, (tensor.packed_bytes or 0) // rows))


@dataclass(frozen=True)
class Provenance:
    """Origin of the weights, for the model card and the manifest; never a path of this machine."""

    kind: str
    """`huggingface-folder`, `huggingface-hub`, `mistral-folder`, ...: the format and how it was found."""
    name: str
    """A hub id, or the name of a folder."""
    revision: str | None = None
    """The commit, where it is known."""


@dataclass(frozen=True)
class MadeFile:
    """A small file that the source does not hold, made from what it holds."""

    data: bytes
    where: str
    """The file it was made from, for messages."""


class Source(Protocol):
    """A checkpoint that can be read row by row."""

    @property
    def provenance(self) -> Provenance: ...

    @property
    def config(self) -> Mapping[str, object]:
        """`config.json` in the style of Hugging Face, as it was found or as it was derived."""
        ...

    @property
    def tensors(self) -> Mapping[str, SourceTensor]:
        """Tensors by Hugging Face name; `SourceTensor.name` is the name in the file."""
        ...

    @property
    def tokenizer(self) -> Path | MadeFile | None:
        """`tekken.json`, where the source has one or something to make it from."""
        ...

    @property
    def system_prompt(self) -> Path | None: ...

    @property
    def generation_config(self) -> Path | None: ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Messages about the result: parts that the source lacks or that were left out."""
        ...

    @property
    def identity(self) -> tuple[tuple[str, int, int], ...]:
        """Name, size and time of the last change (ctime, ns) of every weight file as it is now.

        Not the modification time: anyone can set that back.
        """
        ...

    def read_rows(self, tensor: SourceTensor, first: int, into: memoryview) -> None:
        """Fill `into` with whole rows of `tensor`, from row `first` on. Called from one reader thread.

        Raises:
            ConversionError: the file ends early or cannot be read.
        """
        ...

    def close(self) -> None:
        """Close the files. The source is not used afterwards."""
        ...


def read_json(path: Path, *, remedy: str) -> Mapping[str, object]:
    """Read the JSON object in `path`, a regular file of at most `MOST_JSON_BYTES`.

    Raises:
        ConversionError: the file is missing or can't be read.
        CheckpointError: it does not hold a JSON object.
    """
    try:
        raw = atomic.read_json(path, most=MOST_JSON_BYTES)
    except FileNotFoundError as error:
        raise ConversionError(f"{path} is missing", remedy) from error
    except OSError as error:
        raise ConversionError(f"{path} can't be read: {error.strerror}", "Check its permissions.") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is not valid JSON: {error}", remedy) from error
    if not isinstance(raw, dict):
        raise CheckpointError(f"{path} is not a JSON object", remedy)
    return cast(dict[str, object], raw)


def if_present(path: Path) -> Path | None:
    """Return `path` where it is a regular file."""
    return path if path.is_file() else None


# <cache>/models--owner--name/snapshots/<commit>: the layout of the hub's cache.
_IN_HUB_CACHE = re.compile(r"models--([\w.-]+?)--([\w.-]+)/snapshots/([0-9a-f]{40})$")


def provenance_of(folder: Path, *, kind: str) -> Provenance:
    """Return the provenance of `folder`; `kind` where it is not in the hub's cache."""
    if match := _IN_HUB_CACHE.search(folder.absolute().as_posix()):
        owner, name, commit = match.groups()
        return Provenance(kind="huggingface-hub", name=f"{owner}/{name}", revision=commit)
    return Provenance(kind=kind, name=folder.resolve().name)
