"""A KV cache and what belongs to it in one file: written whole or not at all, checked when it is read.

The file is a safetensors file. Its arrays are keys and values (`layer.N.keys.0`, three each where they are
packed), the record of what stands at which position (`positions`, int32) and what else is given along
(`extra.*`); its metadata are texts, one of them the caller's. One SHA-256 covers everything, so that
a file that was cut, or changed in a single bit, is refused. A file is tied to the model whose cache it is:
another model's keys and values would be no error but nonsense.
"""

# pyright: reportUnknownMemberType=false
# Reason: mlx leaves arguments of save_safetensors and reshape without types.

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import mlx.core as mx

from magistral_mlx.checkpoint.folder import Checkpoint
from magistral_mlx.errors import CacheFileError
from magistral_mlx.generation.cache.prompt_cache import Key, PromptCache
from magistral_mlx.generation.evaluation import evaluate
from magistral_mlx.model.kv_cache import layer_arrays, layers_from
from magistral_mlx.model.magistral import MagistralModel

FORMAT = "1"
"""Of the file; also to be raised when the same model computes other keys and values than before."""
_SAMPLE = 2**20
"""Bytes at either end of a weight file that identify it."""
_REMEDY = "Leave it: the conversation itself is not lost, its next question only reads it anew."


@dataclass(frozen=True)
class CacheFile:
    """The content of a file."""

    cache: PromptCache
    text: str
    """The caller's metadata."""
    arrays: Mapping[str, mx.array]
    """Likewise."""
    nbytes: int
    """Size of the file."""


def model_identity(checkpoint: Checkpoint) -> str:
    """Identity of a model: config, tokenizer, sizes, both ends of each weight file."""
    digest = hashlib.sha256(json.dumps(checkpoint.raw_config, sort_keys=True).encode())
    digest.update(checkpoint.tokenizer_file.read_bytes())
    for path in checkpoint.weight_files:
        size = path.stat().st_size
        digest.update(f"{path.name} {size}".encode())
        with path.open("rb") as file:
            digest.update(file.read(_SAMPLE))
            file.seek(max(0, size - _SAMPLE))
            digest.update(file.read(_SAMPLE))
    return digest.hexdigest()


def write_cache(
    path: Path, cache: PromptCache, *, identity: str, text: str, arrays: Mapping[str, mx.array]
) -> int:
    """Write or replace a file; return its size in bytes.

    Raises:
        CacheFileError: it cannot be written; a file that was there is as it was.
    """
    digests: list[str] = []
    positions: list[tuple[int, int]] = []
    for key in cache.keys:
        if isinstance(key, int):
            positions.append((key, 0))
        else:
            if key[0] not in digests:
                digests.append(key[0])
            positions.append((-1 - digests.index(key[0]), key[1]))
    content = {
        **{f"extra.{name}": array for name, array in arrays.items()},
        **layer_arrays(cache.layers, len(cache)),
        "positions": mx.array(positions or [(0, 0)], mx.int32),
    }
    about = {
        "format": FORMAT,
        "model": identity,
        "kv_bits": str(cache.kv_bits),
        "tokens": str(len(cache)),
        "digests": json.dumps(digests),
        "text": text,
    }
    about["sha256"] = _digest(about, content)
    try:
        with _replacing(path) as temporary:
            mx.save_safetensors(str(temporary), content, {**about})
        return path.stat().st_size
    except (OSError, RuntimeError) as error:
        raise CacheFileError(
            f"The cache cannot be written to {path} ({_reason(error)})", "Choose a place with more room."
        ) from error


def read_cache(path: Path, model: MagistralModel, *, identity: str) -> CacheFile:
    """Read a file of `write_cache`.

    Raises:
        CacheFileError: there is none, it is damaged, of another version or of another model.
    """
    try:
        loaded: object = mx.load(str(path), "safetensors", return_metadata=True)
        nbytes = path.stat().st_size
    except (OSError, RuntimeError, ValueError) as error:
        problem = "is not there" if not path.exists() else f"cannot be read ({_reason(error)})"
        raise CacheFileError(f"The cache file {path} {problem}", _REMEDY) from error
    content, about = cast("tuple[dict[str, mx.array], dict[str, str]]", loaded)
    if about.get("format") != FORMAT:
        raise CacheFileError(f"The cache file {path} was written by another version", _REMEDY)
    if about.get("model") != identity:
        raise CacheFileError(f"The cache file {path} belongs to another model or kind of machine", _REMEDY)
    try:
        expected = about.pop("sha256")
        if _digest(about, content) != expected:
            raise CacheFileError(f"The cache file {path} is damaged", _REMEDY)
        return CacheFile(
            cache=_cache(model, content, about),
            text=about["text"],
            arrays={name[6:]: array for name, array in content.items() if name.startswith("extra.")},
            nbytes=nbytes,
        )
    except (KeyError, ValueError, TypeError, IndexError, RuntimeError) as error:
        raise CacheFileError(f"The cache file {path} is damaged", _REMEDY) from error


def _cache(model: MagistralModel, content: Mapping[str, mx.array], about: Mapping[str, str]) -> PromptCache:
    digests: list[str] = json.loads(about["digests"])
    tokens = int(about["tokens"])
    rows = cast("list[list[int]]", content["positions"].tolist())[:tokens]
    keys: list[Key] = [first if first >= 0 else (digests[-1 - first], second) for first, second in rows]
    cache = PromptCache(model, kv_bits=int(about["kv_bits"]))
    cache.restore(layers_from(cache.layers, content, tokens), keys)
    return cache


def _digest(about: Mapping[str, str], content: Mapping[str, mx.array]) -> str:
    """Over all texts and arrays, in the order of their names; evaluates the arrays one after the other."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(content):
        array = mx.contiguous(content[name])
        evaluate(array)
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        if array.size:
            digest.update(memoryview(cast("Any", array.reshape(-1).view(mx.uint8))))
    return digest.hexdigest()


@contextlib.contextmanager
def _replacing(path: Path) -> Generator[Path]:
    """A file beside `path` that takes its place once it is written and on the disk."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", suffix=".safetensors", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
