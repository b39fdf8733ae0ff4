"""Which GGUF files belong together: a text model, perhaps split, and its vision part (mmproj)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from magistral_mlx.errors import ConversionError
from magistral_mlx_convert.sources.gguf.config import is_vision_part
from magistral_mlx_convert.sources.gguf.header import GGUFHeader, read_gguf_header

_SPLIT = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf")

_PREFERRED = ("F32", "BF16", "F16")
"""Types of a vision part, the most exact first; any other comes after them."""


@dataclass(frozen=True)
class GGUFFiles:
    """Headers of one model. `vision` is None without a vision part."""

    name: str
    text: tuple[GGUFHeader, ...]
    vision: GGUFHeader | None


def find_gguf_files(path: Path, *, vision: Path | None = None) -> GGUFFiles:
    """The model that a GGUF file or a folder of them holds.

    Args:
        path: the text model's file (of a split one, any part), or a folder with one text model.
        vision: its vision part, where that may lie elsewhere.

    Raises:
        ConversionError: no text model or several, a part that is missing, or a vision part of another model.
        CheckpointError: a file is damaged.
    """
    folder = path if path.is_dir() else path.parent
    if path.is_dir():
        headers = {file: read_gguf_header(file) for file in sorted(folder.glob("*.gguf"))}
    else:
        vision_headers = {vision: read_gguf_header(vision)} if vision else _vision_parts_beside(path)
        headers = {path: read_gguf_header(path), **vision_headers}
        if is_vision_part(headers[path]):
            raise ConversionError(
                f"{path} is the vision part of a model", "Name the text model's file, which lies beside it."
            )
    texts = [file for file in headers if not is_vision_part(headers[file])]
    chosen = {_stem(file): file for file in texts}
    if len(chosen) != 1:
        found = ", ".join(sorted(file.name for file in chosen.values())) or "no text model"
        raise ConversionError(f"{folder} holds {found}", "Name the one file to convert.")
    (name,) = chosen
    vision_parts = [headers[file] for file in headers if is_vision_part(headers[file])]
    text = _parts(chosen[name], headers)
    return GGUFFiles(name=name, text=text, vision=_fitting(vision_parts, text[0]) if vision_parts else None)


def _vision_parts_beside(path: Path) -> dict[Path, GGUFHeader]:
    # By name here, so that other models of the same folder need not be read.
    files = [file for file in sorted(path.parent.glob("*.gguf")) if "mmproj" in file.name and file != path]
    headers = {file: read_gguf_header(file) for file in files}
    return {file: header for file, header in headers.items() if is_vision_part(header)}


def _stem(file: Path) -> str:
    split = _SPLIT.fullmatch(file.name)
    return split.group(1) if split else file.stem


def _parts(file: Path, headers: dict[Path, GGUFHeader]) -> tuple[GGUFHeader, ...]:
    split = _SPLIT.fullmatch(file.name)
    if split is None:
        return (headers[file],)
    stem, part, count = split.groups()
    if not 1 <= int(part) <= int(count):
        raise ConversionError(
            f"{file} is named as part {int(part)} of {int(count)}", "Give it its own name back."
        )
    files = [file.with_name(f"{stem}-{part:05}-of-{count}.gguf") for part in range(1, int(count) + 1)]
    if absent := [part for part in files if not part.is_file()]:
        raise ConversionError(f"{absent[0]} is missing", "Put all parts of the model into one folder.")
    return tuple(headers.get(part) or read_gguf_header(part) for part in files)


def _fitting(vision_parts: Sequence[GGUFHeader], text: GGUFHeader) -> GGUFHeader:
    """The most exact vision part that projects to the text model's width."""
    architecture = text.text("general.architecture")
    width = text.number(f"{architecture}.embedding_length")
    fitting = [part for part in vision_parts if part.number("clip.vision.projection_dim") in (None, width)]
    if not fitting:
        raise ConversionError(
            f"{vision_parts[0].path} is the vision part of another model: it projects to "
            f"{vision_parts[0].number('clip.vision.projection_dim')}, not {width}",
            "Take it away, or put the right one beside the text model.",
        )
    return min(fitting, key=lambda part: (_exactness(part), part.path.name))


def _exactness(vision: GGUFHeader) -> int:
    kinds = [tensor.type.name for tensor in vision.tensors.values() if len(tensor.shape) == 2]
    kind = kinds[0] if kinds else ""
    return _PREFERRED.index(kind) if kind in _PREFERRED else len(_PREFERRED)
