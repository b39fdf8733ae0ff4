"""Weight files as raw bytes: read, changed and written without any library, so that tests can spoil them.

tensors = read_raw(folder / "model.safetensors")
tensors["lm_head.weight"].data[:2] = NAN["BF16"]
write_raw(folder / "model.safetensors", tensors)
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from support.random_checkpoint import write_source

NAN = {"BF16": b"\xc0\x7f", "F16": b"\x00\x7e", "F32": b"\x00\x00\xc0\x7f"}
INFINITY = {"BF16": b"\x80\x7f", "F16": b"\x00\x7c", "F32": b"\x00\x00\x80\x7f"}
MINUS_INFINITY = {"BF16": b"\x80\xff", "F16": b"\x00\xfc", "F32": b"\x00\x00\x80\xff"}
MINUS_NAN = {"BF16": b"\xc0\xff", "F16": b"\x00\xfe", "F32": b"\x00\x00\xc0\xff"}

INDEX = "model.safetensors.index.json"


@dataclass
class RawTensor:
    """One tensor of a file."""

    dtype: str
    shape: list[int]
    data: bytearray

    def floats(self) -> np.ndarray:
        """The values as float32, whatever the dtype."""
        if self.dtype == "BF16":
            bits = np.frombuffer(self.data, np.uint16).astype(np.uint32) << 16
            return bits.view(np.float32).reshape(self.shape)
        kind = {"F16": np.float16, "F32": np.float32}[self.dtype]
        return np.frombuffer(self.data, kind).astype(np.float32).reshape(self.shape)

    def words(self) -> np.ndarray:
        """The values of a U32 tensor."""
        return np.frombuffer(self.data, np.uint32).reshape(self.shape)


def read_raw(path: Path) -> dict[str, RawTensor]:
    """All tensors of a file."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header.pop("__metadata__", None)
    return {
        name: RawTensor(
            entry["dtype"],
            entry["shape"],
            bytearray(content[start + entry["data_offsets"][0] : start + entry["data_offsets"][1]]),
        )
        for name, entry in header.items()
    }


def read_folder(folder: Path) -> dict[str, RawTensor]:
    """All tensors of all weight files of a folder."""
    files = sorted(folder.glob("model*.safetensors"))
    return {name: tensor for file in files for name, tensor in read_raw(file).items()}


def write_raw(path: Path, tensors: Mapping[str, RawTensor]) -> None:
    """Writes a file with these tensors, in this order."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    position = 0
    for name, tensor in tensors.items():
        end = position + len(tensor.data)
        header[name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [position, end]}
        position = end
    text = json.dumps(header).encode()
    data = b"".join(bytes(tensor.data) for tensor in tensors.values())
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def change_weights(folder: Path, change: Callable[[dict[str, RawTensor]], object]) -> None:
    """Applies `change` to the tensors of a folder with one weight file, and keeps its index right."""
    (file,) = folder.glob("model*.safetensors")
    tensors = read_raw(file)
    change(tensors)
    write_raw(file, tensors)
    index = {"metadata": {}, "weight_map": dict.fromkeys(tensors, file.name)}
    (folder / INDEX).write_text(json.dumps(index))


def change_json(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    """Applies `change` to a JSON file."""
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a folder."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def write_single_file_source(folder: Path, **options: object) -> Path:
    """A source with `model.safetensors` and no index, as Transformers writes small models."""
    write_source(folder, **options)  # type: ignore[arg-type]  # handed through as it came
    (file,) = folder.glob("model-*.safetensors")
    file.rename(folder / "model.safetensors")
    (folder / INDEX).unlink()
    return folder
