"""GGUF files as a source: rename tensors, reorder query and key rows, unpack blocks, rebuild tekken.json.

Query and key rows are in native order (see `renaming.read_permuted`) in the text file and in the vision part,
whichever format llama.cpp converted from. Blocks run along a row: reordering comes before unpacking.
"""

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from magistral_mlx.checkpoint.config import parse_config
from magistral_mlx.errors import ConversionError
from magistral_mlx_convert.sources.gguf.codes import code_bits
from magistral_mlx_convert.sources.gguf.config import text_config, with_vision
from magistral_mlx_convert.sources.gguf.dequantize_pool import DequantizePool
from magistral_mlx_convert.sources.gguf.files import GGUFFiles, find_gguf_files
from magistral_mlx_convert.sources.gguf.header import GGUFHeader, GGUFTensor
from magistral_mlx_convert.sources.gguf.tekken_rebuild import VocabularyToken, rebuilt_tekken
from magistral_mlx_convert.sources.renaming import Rules, read_permuted, renamed, rotary_head_dim, spelled
from magistral_mlx_convert.sources.safetensors_files import read_fully
from magistral_mlx_convert.sources.source import MadeFile, Provenance, SourceTensor, if_present

CONTROL, UNUSED = 3, 5
"""ggml's types of tokens that never occur in text."""

_AGAIN = "Download the file again."


class GGUFSource:
    """A `Source` on a GGUF file, or on a folder that holds one, with its vision part beside it.

    Args:
        path: the text model's file, or the folder.
        provenance: what to record; the file's name without it.
        vision: the vision part's file, where it may lie elsewhere.

    Raises:
        ConversionError: the files are not those of a Magistral Small, or contradict each other.
        CheckpointError: a file is damaged.
    """

    def __init__(
        self, path: Path, *, provenance: Provenance | None = None, vision: Path | None = None
    ) -> None:
        files = find_gguf_files(path, vision=vision)
        self.provenance = provenance or Provenance(kind="gguf", name=files.name)
        headers = (*files.text, *((files.vision,) if files.vision else ()))
        # Not the headers themselves: their vocabulary takes 20 MB.
        self._paths = tuple(header.path for header in headers)
        self._held = {
            name: (header.path, tensor) for header in headers for name, tensor in header.tensors.items()
        }
        spellings = _spellings(files.text[0])
        self.config: Mapping[str, object] = _config(files, spellings)
        self._parsed = parse_config(self.config, file=str(files.text[0].path))
        self.tensors: Mapping[str, SourceTensor] = self._renamed(files)
        self._head_dim = {
            tensor.name: rotary_head_dim(name, self._parsed) for name, tensor in self.tensors.items()
        }
        folder = files.text[0].path.parent
        self.tokenizer: Path | MadeFile | None = if_present(folder / "tekken.json") or self._rebuilt_tekken(
            files.text[0], spellings
        )
        self.system_prompt = if_present(folder / "SYSTEM_PROMPT.txt")
        self.generation_config = if_present(folder / "generation_config.json")
        self.notes = () if files.vision else (_no_vision_note(files),)
        self._descriptors: dict[Path, int] = {}
        self._pool = DequantizePool()
        self._unpacking = Lock()

    @property
    def identity(self) -> tuple[tuple[str, int, int], ...]:
        """See `Source.identity`."""
        states = ((path.name, path.stat()) for path in self._paths)
        return tuple((name, state.st_size, state.st_ctime_ns) for name, state in states)

    def read_rows(self, tensor: SourceTensor, first: int, into: memoryview) -> None:
        """See `Source.read_rows`."""
        path, held = self._held[tensor.name]
        packed_row = held.nbytes // held.shape[0]
        head_dim = self._head_dim[tensor.name]

        def read(row: int, packed: memoryview) -> None:
            position = held.position + row * packed_row
            read_fully(self._descriptor(path), position, packed, path=path, tensor=held.name)

        def read_in_order(packed: memoryview) -> None:
            if head_dim is None:
                read(first, packed)
            else:
                read_permuted(read, first, packed, row_bytes=packed_row, head_dim=head_dim)

        try:
            if held.type.plain or tensor.dtype == "U8":  # U8: `in_blocks`
                read_in_order(into)
                return
            columns = math.prod(held.shape[1:])
            rows = into.nbytes // (4 * columns)
            packed = memoryview(bytearray(rows * packed_row))
            read_in_order(packed)
            # The pool counts rows of the last axis; a convolution's row along the first axis holds several.
            lines = rows * columns // held.shape[-1]
            with self._unpacking:  # a calibration reads beside the conversion
                self._pool.unpack(packed, into, rows=lines, kind=held.type)
        except OSError as error:
            raise ConversionError(
                f"{path} can't be read at {held.name}: {error.strerror}", "Check the disk it lies on."
            ) from error

    def close(self) -> None:
        """See `Source.close`."""
        self._pool.close()
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors.clear()

    def _descriptor(self, path: Path) -> int:
        if path not in self._descriptors:
            self._descriptors[path] = os.open(path, os.O_RDONLY)
        return self._descriptors[path]

    def _renamed(self, files: GGUFFiles) -> dict[str, SourceTensor]:
        text, vision = files.text[0].path, files.vision.path if files.vision else files.text[0].path
        return renamed(
            {name: _delivered(path, tensor) for name, (path, tensor) in self._held.items()},
            self._parsed,
            lambda name: spelled(name, RULES),
            where=lambda name: str(text if name.startswith("language_model.") else vision),
            config_file="its metadata",
            remedy=_AGAIN,
        )

    def _rebuilt_tekken(self, header: GGUFHeader, spellings: list[str]) -> MadeFile | None:
        kinds = header.metadata.get("tokenizer.ggml.token_type")
        if not isinstance(kinds, list) or len(kinds) != len(spellings):
            raise ConversionError(f"{header.path}: tokenizer.ggml.token_type is missing or too short", _AGAIN)
        tokens = [
            VocabularyToken(spelling, kind in (CONTROL, UNUSED))
            for spelling, kind in zip(spellings, kinds, strict=True)
        ]
        where = str(header.path)
        return MadeFile(data=rebuilt_tekken(tokens, self._parsed, where=where), where=where)


def _spellings(header: GGUFHeader) -> list[str]:
    spellings = header.metadata.get("tokenizer.ggml.tokens")
    if not isinstance(spellings, list) or not all(isinstance(each, str) for each in spellings):
        raise ConversionError(f"{header.path}: tokenizer.ggml.tokens is missing", _AGAIN)
    return [str(each) for each in spellings]


def _config(files: GGUFFiles, spellings: list[str]) -> dict[str, object]:
    text = files.text[0]
    held = [part.tensors["token_embd.weight"] for part in files.text if "token_embd.weight" in part.tensors]
    if not held:
        raise ConversionError(f"{text.path} lacks token_embd.weight", _AGAIN)
    config = text_config(text, vocabulary=held[0].shape[0])
    if files.vision is None:
        return config
    if "[IMG]" not in spellings:
        raise ConversionError(
            f"{text.path} has no token [IMG], but {files.vision.path.name} is a vision part",
            "Take text model and vision part of the same release.",
        )
    return with_vision(config, files.vision, image_token=spellings.index("[IMG]"))


def _delivered(path: Path, tensor: GGUFTensor) -> SourceTensor:
    if not tensor.type.readable or (len(tensor.shape) == 1 and not tensor.type.plain):
        raise ConversionError(
            f"{path} holds {tensor.name} as {tensor.type.name}, which is not read",
            "Take a GGUF file of another type, such as Q8_0 or BF16.",
        )
    return SourceTensor(
        name=tensor.name,
        dtype=tensor.type.delivered,
        shape=tensor.shape,
        file=path.name,
        packed_bytes=tensor.nbytes,
        blocks=tensor.type.name if len(tensor.shape) == 2 and code_bits(tensor.type.name) else None,
    )


def _no_vision_note(files: GGUFFiles) -> str:
    return (
        f"There is no vision part (mmproj) beside {files.text[0].path.name}: the result will not see images"
    )


_LAYER = r"language_model\.model\.layers\.(\d+)\."
_VISION_LAYER = r"vision_tower\.transformer\.layers\.(\d+)\."

RULES: Rules = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"language_model\.model\.embed_tokens\.weight", "token_embd.weight"),
        (r"language_model\.model\.norm\.weight", "output_norm.weight"),
        (r"language_model\.lm_head\.weight", "output.weight"),
        (_LAYER + r"input_layernorm\.weight", r"blk.\1.attn_norm.weight"),
        (_LAYER + r"post_attention_layernorm\.weight", r"blk.\1.ffn_norm.weight"),
        (_LAYER + r"self_attn\.(q|k|v)_proj\.weight", r"blk.\1.attn_\2.weight"),
        (_LAYER + r"self_attn\.o_proj\.weight", r"blk.\1.attn_output.weight"),
        (_LAYER + r"mlp\.(gate|up|down)_proj\.weight", r"blk.\1.ffn_\2.weight"),
        (r"vision_tower\.patch_conv\.weight", "v.patch_embd.weight"),
        (r"vision_tower\.ln_pre\.weight", "v.pre_ln.weight"),
        (_VISION_LAYER + r"attention_norm\.weight", r"v.blk.\1.ln1.weight"),
        (_VISION_LAYER + r"ffn_norm\.weight", r"v.blk.\1.ln2.weight"),
        (_VISION_LAYER + r"attention\.(q|k|v)_proj\.weight", r"v.blk.\1.attn_\2.weight"),
        (_VISION_LAYER + r"attention\.o_proj\.weight", r"v.blk.\1.attn_out.weight"),
        (_VISION_LAYER + r"feed_forward\.(gate|up|down)_proj\.weight", r"v.blk.\1.ffn_\2.weight"),
        (r"multi_modal_projector\.norm\.weight", "mm.input_norm.weight"),
        (r"multi_modal_projector\.patch_merger\.merging_layer\.weight", "mm.patch_merger.weight"),
        (r"multi_modal_projector\.linear_1\.weight", "mm.1.weight"),
        (r"multi_modal_projector\.linear_2\.weight", "mm.2.weight"),
    )
)
"""Hugging Face name on disk -> GGUF name."""
