"""An MLX conversion as a source: of mlx-vlm, mlx-lm, LM Studio's people, or ourselves.

Its packed weights are passed on as they are (`kept`), or unpacked to be packed anew. Names are ours
already, but for mlx-lm's text models; the convolution is in MLX's order. What such folders lack is filled
in: tekken.json from tokenizer.json, the flat rotary base, the reasoning prompt.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from magistral_mlx.checkpoint.config import Quantization, parse_config
from magistral_mlx.checkpoint.parameters import VISION_PREFIXES, packed_shapes, parameter_shapes
from magistral_mlx.checkpoint.safetensors_header import ITEM_BYTES
from magistral_mlx.errors import ConversionError
from magistral_mlx_convert.sources.float8 import E4M3, floats_of
from magistral_mlx_convert.sources.gguf.tekken_rebuild import tekken_of_tokenizer_json
from magistral_mlx_convert.sources.hub.arrivals import Arriving
from magistral_mlx_convert.sources.huggingface import (
    INDEX_FILE,
    TEXT_ONLY_NOTE,
    weight_files,
    with_text_config,
)
from magistral_mlx_convert.sources.mapping import source_names
from magistral_mlx_convert.sources.safetensors_files import SafetensorsFiles, WeightFiles
from magistral_mlx_convert.sources.source import (
    MadeFile,
    Provenance,
    SourceTensor,
    if_present,
    provenance_of,
    read_json,
)

_AGAIN = "Download or convert it again."
_FLOATS = ("BF16", "F16", "F32")


class MlxFolder:
    """A `Source` on an MLX conversion; `tensors` are what is stored, under the names of a converted folder.

    Args:
        folder: the conversion, or its small files.
        provenance: what to record; read from the folder's path when it is not given.
        files: the weight files, where they do not lie in `folder`.

    Raises:
        ConversionError: weights and config contradict each other.
        CheckpointError: a file is damaged.
    """

    def __init__(
        self, folder: Path, *, provenance: Provenance | None = None, files: WeightFiles | None = None
    ) -> None:
        self.folder = folder
        self.provenance = provenance or provenance_of(folder, kind="mlx-folder")
        self._files = files or SafetensorsFiles(folder, weight_files(folder), index=INDEX_FILE)
        self.supply: Arriving = self._files
        held = {_own_name(name): tensor for name, tensor in self._files.tensors.items()}
        raw = read_json(folder / "config.json", remedy=_AGAIN)
        self.config, self.notes = _completed(raw, held)
        self.parsed = parse_config(self.config, file=str(folder / "config.json"))
        self.tensors: Mapping[str, SourceTensor] = self._checked(held)
        self.tokenizer: Path | MadeFile | None = if_present(folder / "tekken.json") or self._made_tokenizer()
        self.system_prompt = if_present(folder / "SYSTEM_PROMPT.txt")
        self.generation_config = if_present(folder / "generation_config.json")

    @property
    def identity(self) -> tuple[tuple[str, int, int], ...]:
        """See `Source.identity`."""
        return self._files.identity

    def read_rows(self, tensor: SourceTensor, first: int, into: memoryview) -> None:
        """See `Source.read_rows`."""
        self._files.read_rows(tensor, first, into)

    def close(self) -> None:
        """See `Source.close`."""
        self._files.close()

    def packing_of(self, parameter: str) -> Quantization | None:
        """Return the packing of a parameter; None where it is not quantized."""
        path = parameter.removesuffix(".weight")
        whole = self.parsed.quantization
        return whole and whole.of_module(path, has_scales=f"{path}.scales" in self.tensors)

    def _made_tokenizer(self) -> MadeFile | None:
        path = self.folder / "tokenizer.json"
        if not path.is_file():
            return None
        raw = read_json(path, remedy=_AGAIN)
        return MadeFile(data=tekken_of_tokenizer_json(raw, self.parsed, where=str(path)), where=str(path))

    def _checked(self, held: Mapping[str, SourceTensor]) -> dict[str, SourceTensor]:
        """List the stored tensors of each parameter, in their order; refuse all others by name."""
        packing = self.parsed.quantization
        rest, found = dict(held), dict[str, SourceTensor]()
        for name, shape in parameter_shapes(self.parsed).items():
            path = name.removesuffix(".weight")
            own = packing and packing.of_module(path, has_scales=f"{path}.scales" in held)
            stored = packed_shapes(name, shape, own) if own else {name: (shape, "float")}
            for key, (wanted, kind) in stored.items():
                tensor = rest.pop(key, None)
                if tensor is None:
                    raise ConversionError(f"{self.folder} lacks {key}", _AGAIN)
                if tensor.shape != wanted or tensor.dtype not in (_FLOATS if kind == "float" else (kind,)):
                    raise ConversionError(
                        f"{tensor.name} in {tensor.file} is {tensor.dtype} {list(tensor.shape)}, "
                        f"but config.json asks for {kind} {list(wanted)}",
                        "Take config.json and weights of the same conversion.",
                    )
                found[key] = replace(tensor, channels_last=len(wanted) == 4)
        if rest:
            name = min(rest)
            raise ConversionError(
                f"{rest[name].file} holds {rest[name].name}, which config.json has no place for", _AGAIN
            )
        return found


class UnpackedMlx:
    """The same source with its weights as float32, under the names of Hugging Face, to be packed anew."""

    def __init__(self, source: MlxFolder) -> None:
        self._source = source
        self.provenance, self.supply = source.provenance, source.supply
        self.config = {key: value for key, value in source.config.items() if key != "quantization"}
        self.tokenizer, self.system_prompt = source.tokenizer, source.system_prompt
        self.generation_config, self.notes = source.generation_config, source.notes
        self._names: dict[str, str] = {}
        self.tensors: Mapping[str, SourceTensor] = {
            source_names(name)[0]: self._delivered(name, shape)
            for name, shape in parameter_shapes(source.parsed).items()
        }

    @property
    def identity(self) -> tuple[tuple[str, int, int], ...]:
        """See `Source.identity`."""
        return self._source.identity

    def read_rows(self, tensor: SourceTensor, first: int, into: memoryview) -> None:
        """See `Source.read_rows`."""
        name = self._names[tensor.name]
        packing = self._source.packing_of(name)
        if packing is None:
            self._source.read_rows(self._source.tensors[name], first, into)
            return
        rows = into.nbytes // (4 * tensor.shape[1])
        path = name.removesuffix(".weight")
        codes = np.frombuffer(self._rows(name, first, rows), np.uint8).reshape(rows, -1)
        stored = self._rows(f"{path}.scales", first, rows)
        biases = None
        if packing.mode == "affine":
            scales = floats_of(stored, self._dtype(f"{path}.scales")).reshape(rows, -1)
            kept = self._rows(f"{path}.biases", first, rows)
            biases = floats_of(kept, self._dtype(f"{path}.biases")).reshape(rows, -1)
        else:
            scales = scales_of(np.frombuffer(stored, np.uint8).reshape(rows, -1), packing)
        weights = np.frombuffer(into, np.float32).reshape(rows, -1)
        weights[:] = unpacked(codes, scales, biases, packing)

    def close(self) -> None:
        """See `Source.close`."""
        self._source.close()

    def _delivered(self, name: str, shape: tuple[int, ...]) -> SourceTensor:
        stored = self._source.tensors[name]
        self._names[stored.name] = name
        if self._source.packing_of(name) is None:
            return stored
        path = name.removesuffix(".weight")
        parts = [self._source.tensors.get(key) for key in (name, f"{path}.scales", f"{path}.biases")]
        packed = sum(math.prod(part.shape) * ITEM_BYTES[part.dtype] for part in parts if part)
        return replace(stored, dtype="F32", shape=shape, packed_bytes=packed)

    def _dtype(self, name: str) -> str:
        return self._source.tensors[name].dtype

    def _rows(self, name: str, first: int, rows: int) -> bytes:
        tensor = self._source.tensors[name]
        data = bytearray(rows * math.prod(tensor.shape[1:]) * ITEM_BYTES[tensor.dtype])
        self._source.read_rows(tensor, first, memoryview(data))
        return bytes(data)


def is_mlx_conversion(config: Mapping[str, object], tensors: Mapping[str, SourceTensor]) -> bool:
    """Tell if MLX wrote this folder: by its packing, or by the names of its vision tower."""
    return "quantization" in config or any(name.startswith("vision_tower.vision_model.") for name in tensors)


def _own_name(name: str) -> str:
    # mlx-lm's text models have no `language_model.` before it.
    return f"language_model.{name}" if name.startswith(("model.", "lm_head.")) else name


def _completed(
    raw: Mapping[str, object], held: Mapping[str, SourceTensor]
) -> tuple[dict[str, object], tuple[str, ...]]:
    """The config as a converted folder has it, and what people should know of it."""
    config = with_text_config(raw) if raw.get("model_type") == "mistral" else dict(raw)
    # Converters write the same table under both names.
    config.pop("quantization_config", None)
    table = config.get("quantization")
    if isinstance(table, Mapping):
        entries = cast(Mapping[str, object], table).items()
        config["quantization"] = {_own_name(f"{key}.")[:-1]: value for key, value in entries}
    if config.get("vision_config") is None:
        return config, (TEXT_ONLY_NOTE,)
    if any(name.startswith(VISION_PREFIXES) for name in held):
        return config, ()
    del config["vision_config"]
    return config, ("The conversion left the vision tower out: it will not see images",)


Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

_HALF = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
E2M1: Floats = np.concatenate([_HALF, -_HALF])
"""Code -> value of the 4-bit float."""


def unpacked(codes: Bytes, scales: Floats, biases: Floats | None, packing: Quantization) -> Floats:
    """Rows as they are multiplied with.

    Args:
        codes: [rows, bytes] as they are stored.
        scales: [rows, groups].
        biases: [rows, groups]; of affine packings alone.
        packing: how they are packed.
    """
    rows, columns = codes.shape[0], codes.shape[1] * 8 // packing.bits
    values = _codes(codes, packing.bits, columns)
    if packing.mode == "affine":
        weights = values.astype(np.float32)
    else:
        weights = E4M3[values] if packing.mode == "mxfp8" else E2M1[values]
    groups = weights.reshape(rows, -1, packing.group_size)
    groups *= scales[:, :, None]
    if biases is not None:
        groups += biases[:, :, None]
    return weights


def scales_of(stored: Bytes, packing: Quantization) -> Floats:
    """The scales of a packing other than affine, whose scales are one byte each."""
    if packing.mode == "nvfp4":
        return E4M3[stored]
    return np.exp2(stored.astype(np.float32) - 127)


def _codes(codes: Bytes, bits: int, columns: int) -> Bytes:
    if bits == 8:
        return codes
    if bits in (2, 4):
        shifts = np.arange(0, 8, bits, dtype=np.uint8)
        mask = np.uint8((1 << bits) - 1)
        return ((codes[:, :, None] >> shifts) & mask).reshape(codes.shape[0], columns)
    single = np.unpackbits(codes, axis=1, bitorder="little").reshape(codes.shape[0], columns, bits)
    return np.packbits(single, axis=2, bitorder="little").reshape(codes.shape[0], columns)
