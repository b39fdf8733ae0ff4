"""A converted folder on disk, opened and checked without reading a single weight.

`open_checkpoint` reads the small files and the headers of the weight files, and compares all of them with
each other: what it returns can be loaded strictly, or it has raised an error that names the file, the key
or the tensor. Hugging Face folders and other sources belong to `magistral convert`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

from magistral_mlx.checkpoint.config import ModelConfig, Quantization, TextConfig, VisionConfig, parse_config
from magistral_mlx.checkpoint.parameters import VISION_PREFIXES, Shape, packed_shapes, parameter_shapes
from magistral_mlx.checkpoint.safetensors_header import SafetensorsHeader, TensorInfo, read_header
from magistral_mlx.errors import CheckpointError
from magistral_mlx.storage.atomic import open_regular

__all__ = [
    "Checkpoint",
    "ModelConfig",
    "Quantization",
    "SafetensorsHeader",
    "TensorInfo",
    "TextConfig",
    "VisionConfig",
    "open_checkpoint",
    "packed_shapes",
    "parameter_shapes",
    "parse_config",
    "read_header",
    "read_json",
]

CONFIG_FILE = "config.json"
INDEX_FILE = "model.safetensors.index.json"
SINGLE_FILE = "model.safetensors"
TOKENIZER_FILE = "tekken.json"
SYSTEM_PROMPT_FILE = "SYSTEM_PROMPT.txt"
MANIFEST_FILE = "magistral-mlx.json"

MAX_TEXT_BYTES = 32_000_000
"""More than any index or manifest of a real checkpoint; a larger file is not one."""

_WEIGHT_FILE = re.compile(r"[\w.+=@ -]{1,200}\.safetensors")
_FLOATS = ("F32", "F16", "BF16")
_CONVERT = "Convert it first: magistral convert {source} --to NEW_FOLDER"
_AGAIN = "The folder is incomplete or mixed up; convert or download it again."


@dataclass(frozen=True)
class Checkpoint:
    """A folder whose files fit together; paths exist, nothing is loaded.

    `name` is what faces show: the manifest's name, else the folder's. `raw_config` is `config.json` as it
    stands; `manifest` is None for a folder that another MLX converter wrote.
    """

    directory: Path
    name: str
    config: ModelConfig
    raw_config: Mapping[str, object]
    weight_files: tuple[Path, ...]
    tokenizer_file: Path
    system_prompt: str | None
    manifest: Mapping[str, object] | None


def open_checkpoint(directory: Path) -> Checkpoint:
    """Opens a converted folder.

    A folder whose config has no `vision_config` is a text-only model; one whose config promises vision and
    whose weights lack it is refused.

    Raises:
        CheckpointError: something is missing, damaged, contradictory, or not converted yet.
    """
    try:
        return _open(directory)
    except OSError as error:
        raise CheckpointError(
            f"{directory} can't be read: {error.strerror or error}", "Check the permissions of the folder."
        ) from error


def _open(directory: Path) -> Checkpoint:
    if not directory.is_dir():
        what = "is not a folder" if directory.exists() else "does not exist"
        raise CheckpointError(f"{directory} {what}", "Name a folder written by `magistral convert`.")
    if not (directory / CONFIG_FILE).is_file():
        raise _no_config(directory)
    raw_config = read_json(directory / CONFIG_FILE)
    config = parse_config(raw_config, file=str(directory / CONFIG_FILE))
    stored = _stored_tensors(directory)
    _check_tensors(directory, config, {tensor.name: tensor for tensor in stored})
    if not (directory / TOKENIZER_FILE).is_file():
        raise CheckpointError(
            f"{directory} has no {TOKENIZER_FILE}",
            "Copy it from mistralai/Magistral-Small-2509, or convert that model with `magistral convert`.",
        )
    manifest = _manifest(directory)
    return Checkpoint(
        directory=directory,
        name=_name(directory, manifest),
        config=config,
        raw_config=raw_config,
        weight_files=tuple(dict.fromkeys(tensor.file for tensor in stored)),
        tokenizer_file=directory / TOKENIZER_FILE,
        system_prompt=_system_prompt(directory),
        manifest=manifest,
    )


def read_json(path: Path) -> Mapping[str, object]:
    """Return the JSON object in `path`.

    Raises:
        CheckpointError: it is not a JSON object; names the file.
    """
    try:
        value: object = json.loads(_read_text(path))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not valid JSON: {error}", _AGAIN) from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} does not hold a JSON object", _AGAIN)
    return cast(dict[str, object], value)


def _read_text(path: Path) -> str:
    try:
        with open_regular(path) as file:
            content = file.read(MAX_TEXT_BYTES + 1)
        if len(content) > MAX_TEXT_BYTES:
            raise CheckpointError(f"{path} is larger than {MAX_TEXT_BYTES} bytes", _AGAIN)
        return content.decode()
    except OSError as error:
        raise CheckpointError(f"{path} can't be read: {error.strerror}", _AGAIN) from error
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path} is not UTF-8 text", _AGAIN) from error


def _no_config(directory: Path) -> CheckpointError:
    if (directory / "params.json").is_file() or any(directory.glob("*.gguf")):
        return CheckpointError(f"{directory} is not converted to MLX", _CONVERT.format(source=directory))
    return CheckpointError(
        f"{directory} has no {CONFIG_FILE}", "Name a folder written by `magistral convert`."
    )


class _Stored(NamedTuple):
    name: str
    file: Path
    info: TensorInfo


def _stored_tensors(directory: Path) -> tuple[_Stored, ...]:
    """Return every tensor of the weight files, after index and headers were found to agree."""
    if not (directory / INDEX_FILE).is_file():
        return _single_file(directory)
    weight_map = read_json(directory / INDEX_FILE).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{directory / INDEX_FILE}: weight_map is missing", _AGAIN)
    promised = cast(dict[str, object], weight_map)
    stored: list[_Stored] = []
    for file_name in sorted({_plain_name(directory, value) for value in promised.values()}):
        file = directory / file_name
        if not file.is_file():
            raise CheckpointError(f"{file} is missing; {INDEX_FILE} names it", _AGAIN)
        header = read_header(file)
        for name, info in header.tensors.items():
            if promised.get(name) != file_name:
                raise CheckpointError(
                    f"{file} holds {name!r}, which {INDEX_FILE} does not place there", _AGAIN
                )
            stored.append(_Stored(name, file, info))
    absent = promised.keys() - {tensor.name for tensor in stored}
    if absent:
        name = min(absent)
        raise CheckpointError(
            f"{directory / str(promised[name])} lacks {name!r}, which {INDEX_FILE} places there", _AGAIN
        )
    return tuple(stored)


def _single_file(directory: Path) -> tuple[_Stored, ...]:
    file = directory / SINGLE_FILE
    if not file.is_file():
        raise CheckpointError(f"{directory} has neither {INDEX_FILE} nor {SINGLE_FILE}", _AGAIN)
    return tuple(_Stored(name, file, info) for name, info in read_header(file).tensors.items())


def _plain_name(directory: Path, value: object) -> str:
    # The index is outside text: a path in it could point anywhere on the disk.
    if not isinstance(value, str) or not _WEIGHT_FILE.fullmatch(value):
        raise CheckpointError(
            f"{directory / INDEX_FILE}: {value!r:.80} is not the name of a weight file", _AGAIN
        )
    return value


def _check_tensors(directory: Path, config: ModelConfig, stored: Mapping[str, _Stored]) -> None:
    shapes = parameter_shapes(config)
    _check_names(directory, shapes, stored)
    _check_overrides(directory, config.quantization, shapes)
    expected = {
        name: kind
        for parameter in shapes.items()
        for name, kind in _expected(directory, config, parameter, stored)
    }
    for name, (shape, dtype) in expected.items():
        info = stored[name].info
        if info.shape != shape:
            raise CheckpointError(
                f"{stored[name].file}: {name!r} has the shape {list(info.shape)}; {CONFIG_FILE} asks for "
                f"{list(shape)}",
                _AGAIN,
            )
        if info.dtype not in (_FLOATS if dtype == "float" else (dtype,)):
            raise CheckpointError(
                f"{stored[name].file}: {name!r} is stored as {info.dtype}, which {CONFIG_FILE} does not say",
                _AGAIN,
            )
    unknown = sorted(stored.keys() - expected.keys())
    if unknown:
        raise CheckpointError(
            f"{stored[unknown[0]].file} holds {_listed(unknown)} that this model does not have", _AGAIN
        )


def _check_names(directory: Path, shapes: Mapping[str, Shape], stored: Mapping[str, _Stored]) -> None:
    """Raises for parameters that are absent, after the cases that have a remedy of their own."""
    missing = [name for name in shapes if name not in stored]
    if any(
        name.startswith(("vision_tower.transformer.", "model.")) or name == "lm_head.weight"
        for name in stored
    ):
        raise CheckpointError(
            f"{directory} is a Hugging Face checkpoint, not converted to MLX",
            _CONVERT.format(source=directory),
        )
    if missing and all(name.startswith(VISION_PREFIXES) for name in missing):
        raise CheckpointError(
            f"{directory} lacks vision weights ({_listed(missing)}), which its {CONFIG_FILE} promises",
            "Convert the model again from a source with its vision tower.",
        )
    if missing:
        raise CheckpointError(f"{directory} lacks {_listed(missing)}", _AGAIN)


def _check_overrides(directory: Path, quantization: Quantization | None, shapes: Mapping[str, Shape]) -> None:
    """Refuse a packing for a module that does not exist: it would change nothing."""
    if quantization is None:
        return
    for path, packing in quantization.overrides.items():
        if packing is not None and f"{path}.weight" not in shapes:
            raise CheckpointError(
                f"{directory / CONFIG_FILE}: quantization names {path!r:.80}, which this model does not have",
                _AGAIN,
            )


def _expected(
    directory: Path, config: ModelConfig, parameter: tuple[str, Shape], stored: Mapping[str, _Stored]
) -> Iterator[tuple[str, tuple[Shape, str]]]:
    """Return the stored tensors of one parameter, quantized or not."""
    name, shape = parameter
    path = name.removesuffix(".weight")
    packing = config.quantization and config.quantization.of_module(
        path, has_scales=f"{path}.scales" in stored
    )
    if packing is None:
        yield name, (shape, "float")
        return
    if len(shape) != 2 or shape[1] % packing.group_size or shape[1] * packing.bits % 32:
        raise CheckpointError(
            f"{directory / CONFIG_FILE}: quantization packs {path} of shape {list(shape)} in groups of "
            f"{packing.group_size}, which is impossible",
            _AGAIN,
        )
    for tensor, kind in packed_shapes(name, shape, packing).items():
        if tensor not in stored:
            raise CheckpointError(
                f"{directory} lacks {tensor!r}; {CONFIG_FILE} says that {path} is quantized", _AGAIN
            )
        yield tensor, kind


def _listed(names: list[str]) -> str:
    return repr(names[0]) if len(names) == 1 else f"{names[0]!r} and {len(names) - 1} more tensors"


def _manifest(directory: Path) -> Mapping[str, object] | None:
    path = directory / MANIFEST_FILE
    return read_json(path) if path.is_file() else None


def _name(directory: Path, manifest: Mapping[str, object] | None) -> str:
    name = (manifest or {}).get("name")
    if isinstance(name, str) and name.isprintable() and 0 < len(name) <= 200:
        return name
    return directory.resolve().name


def _system_prompt(directory: Path) -> str | None:
    path = directory / SYSTEM_PROMPT_FILE
    return _read_text(path) if path.is_file() else None
