"""A checkpoint in Mistral's own format: `consolidated.safetensors`, `params.json` and `tekken.json`.

Names and the order of query and key rows differ from the files of Hugging Face, in the text model and in the
vision tower; nothing else does (Transformers' convert_mistral3_weights_to_hf.py). The configuration is
derived from `params.json`.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from magistral_mlx.checkpoint.config import parse_config
from magistral_mlx.checkpoint.safetensors_header import ITEM_BYTES
from magistral_mlx.errors import ConversionError
from magistral_mlx_convert.sources.float8 import ScaledTensors
from magistral_mlx_convert.sources.hub.arrivals import Arriving
from magistral_mlx_convert.sources.renaming import Rules, read_permuted, renamed, rotary_head_dim, spelled
from magistral_mlx_convert.sources.safetensors_files import SafetensorsFiles, WeightFiles, indexed_files
from magistral_mlx_convert.sources.source import (
    Provenance,
    SourceTensor,
    if_present,
    provenance_of,
    read_json,
)

SINGLE_FILE = "consolidated.safetensors"
INDEX_FILE = "consolidated.safetensors.index.json"
PARAMS_FILE = "params.json"

_AGAIN = "Download the checkpoint again."
_UNCHANGED = "Use an unchanged Magistral Small checkpoint."

_LAYER = r"language_model\.model\.layers\.(\d+)\."
_SIGHT = r"vision_tower\.transformer\.layers\.(\d+)\."

RULES: Rules = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"language_model\.model\.embed_tokens\.weight", "tok_embeddings.weight"),
        (r"language_model\.model\.norm\.weight", "norm.weight"),
        (r"language_model\.lm_head\.weight", "output.weight"),
        (_LAYER + r"input_layernorm\.weight", r"layers.\1.attention_norm.weight"),
        (_LAYER + r"post_attention_layernorm\.weight", r"layers.\1.ffn_norm.weight"),
        (_LAYER + r"self_attn\.(q|k|v|o)_proj\.weight", r"layers.\1.attention.w\2.weight"),
        (_LAYER + r"mlp\.gate_proj\.weight", r"layers.\1.feed_forward.w1.weight"),
        (_LAYER + r"mlp\.down_proj\.weight", r"layers.\1.feed_forward.w2.weight"),
        (_LAYER + r"mlp\.up_proj\.weight", r"layers.\1.feed_forward.w3.weight"),
        (r"vision_tower\.(patch_conv|ln_pre)\.weight", r"vision_encoder.\1.weight"),
        (_SIGHT + r"(attention_norm|ffn_norm)\.weight", r"vision_encoder.transformer.layers.\1.\2.weight"),
        (
            _SIGHT + r"attention\.(q|k|v|o)_proj\.weight",
            r"vision_encoder.transformer.layers.\1.attention.w\2.weight",
        ),
        (
            _SIGHT + r"feed_forward\.gate_proj\.weight",
            r"vision_encoder.transformer.layers.\1.feed_forward.w1.weight",
        ),
        (
            _SIGHT + r"feed_forward\.down_proj\.weight",
            r"vision_encoder.transformer.layers.\1.feed_forward.w2.weight",
        ),
        (
            _SIGHT + r"feed_forward\.up_proj\.weight",
            r"vision_encoder.transformer.layers.\1.feed_forward.w3.weight",
        ),
        (r"multi_modal_projector\.norm\.weight", "pre_mm_projector_norm.weight"),
        (
            r"multi_modal_projector\.patch_merger\.merging_layer\.weight",
            "patch_merger.merging_layer.weight",
        ),
        (r"multi_modal_projector\.linear_1\.weight", "vision_language_adapter.w_in.weight"),
        (r"multi_modal_projector\.linear_2\.weight", "vision_language_adapter.w_out.weight"),
    )
)
"""Hugging Face name on disk -> native name."""


class NativeFolder:
    """A `Source` in Mistral's own format.

    Args:
        folder: the checkpoint, or its small files.
        provenance: what to record; read from the folder's path when it is not given.
        files: the weight files, where they do not lie in `folder`.

    Raises:
        ConversionError: a file is missing, or `params.json` and the weights contradict each other.
        CheckpointError: a file is damaged, or asks for something that Magistral is not.
    """

    def __init__(
        self, folder: Path, *, provenance: Provenance | None = None, files: WeightFiles | None = None
    ) -> None:
        self.folder = folder
        self.provenance = provenance or provenance_of(folder, kind="mistral-folder")
        params = folder / PARAMS_FILE
        self.config: Mapping[str, object] = config_of_params(
            read_json(params, remedy=f"Take the {PARAMS_FILE} that lies beside {SINGLE_FILE}."),
            file=str(params),
        )
        self._parsed = parse_config(self.config, file=str(params))
        self._files = files or SafetensorsFiles(folder, native_files(folder), index=INDEX_FILE)
        self.supply: Arriving = self._files
        self._scaled = ScaledTensors(self._files, folder=folder)
        self.tensors: Mapping[str, SourceTensor] = self._renamed()
        self._head_dim = {
            tensor.name: rotary_head_dim(name, self._parsed) for name, tensor in self.tensors.items()
        }
        self.tokenizer = if_present(folder / "tekken.json")
        self.system_prompt = if_present(folder / "SYSTEM_PROMPT.txt")
        self.generation_config = if_present(folder / "generation_config.json")
        self.notes: tuple[str, ...] = ()

    @property
    def identity(self) -> tuple[tuple[str, int, int], ...]:
        """See `Source.identity`."""
        return self._files.identity

    def read_rows(self, tensor: SourceTensor, first: int, into: memoryview) -> None:
        """See `Source.read_rows`."""
        head_dim = self._head_dim[tensor.name]
        if head_dim is None:
            self._scaled.read_rows(tensor, first, into)
            return
        read_permuted(
            lambda row, rows: self._scaled.read_rows(tensor, row, rows),
            first,
            into,
            row_bytes=math.prod(tensor.shape[1:]) * ITEM_BYTES[tensor.dtype],
            head_dim=head_dim,
        )

    def close(self) -> None:
        """See `Source.close`."""
        self._files.close()

    def _renamed(self) -> dict[str, SourceTensor]:
        return renamed(
            self._scaled.tensors,
            self._parsed,
            lambda name: spelled(name, RULES),
            where=lambda _: str(self.folder),
            config_file=PARAMS_FILE,
            remedy=_AGAIN,
        )


def native_files(folder: Path) -> Mapping[str, frozenset[str] | None]:
    """File -> the tensors that the index places in it; None for a single file without index.

    Raises:
        ConversionError: there are no weights of this format, or the index is not valid.
    """
    placed = indexed_files(folder, single=SINGLE_FILE, index=INDEX_FILE)
    if placed is None:
        raise ConversionError(f"{folder} holds no {SINGLE_FILE}", _AGAIN)
    return placed


def config_of_params(params: Mapping[str, object], *, file: str) -> dict[str, object]:
    """`config.json` in the style of Hugging Face, from `params.json`; `parse_config` checks the values.

    Raises:
        ConversionError: a key is missing, or says what Magistral is not.
    """

    def need(section: Mapping[str, object], key: str, prefix: str = "") -> object:
        if section.get(key) is None:
            raise ConversionError(f"{file}: {prefix}{key} is missing", _UNCHANGED)
        return section[key]

    if params.get("moe") is not None:
        raise ConversionError(f"{file}: moe names experts, which Magistral Small has not", _UNCHANGED)
    config: dict[str, object] = {
        "model_type": "mistral3",
        "text_config": {
            "model_type": "mistral",
            "hidden_act": "silu",
            "hidden_size": need(params, "dim"),
            "intermediate_size": need(params, "hidden_dim"),
            "num_hidden_layers": need(params, "n_layers"),
            "num_attention_heads": need(params, "n_heads"),
            "num_key_value_heads": need(params, "n_kv_heads"),
            "head_dim": need(params, "head_dim"),
            "vocab_size": need(params, "vocab_size"),
            "rms_norm_eps": need(params, "norm_eps"),
            "rope_theta": need(params, "rope_theta"),
            "max_position_embeddings": params.get("max_position_embeddings")
            or params.get("max_seq_len")
            or DEFAULT_CONTEXT,
            "sliding_window": params.get("sliding_window"),
            "tie_word_embeddings": params.get("tied_embeddings", False),
        },
    }
    eye = params.get("vision_encoder")
    if not isinstance(eye, Mapping):
        return config
    seen = cast(Mapping[str, object], eye)
    for key, wanted in (("mm_projector_id", "patch_merge"), ("add_pre_mm_projector_layer_norm", True)):
        if seen.get(key) != wanted:
            raise ConversionError(f"{file}: vision_encoder.{key} must be {wanted}", _UNCHANGED)
    prefix = "vision_encoder."
    return config | {
        "architectures": ["Mistral3ForConditionalGeneration"],
        "image_token_index": need(seen, "image_token_id", prefix),
        "multimodal_projector_bias": seen.get("adapter_bias", False),
        "projector_hidden_act": "gelu",
        "spatial_merge_size": need(seen, "spatial_merge_size", prefix),
        "vision_feature_layer": -1,
        "vision_config": {
            "model_type": "pixtral",
            "hidden_act": "silu",
            "hidden_size": need(seen, "hidden_size", prefix),
            "intermediate_size": need(seen, "intermediate_size", prefix),
            "num_hidden_layers": need(seen, "num_hidden_layers", prefix),
            "num_attention_heads": need(seen, "num_attention_heads", prefix),
            "num_channels": seen.get("num_channels", 3),
            "patch_size": need(seen, "patch_size", prefix),
            "image_size": need(seen, "image_size", prefix),
            "rope_theta": need(seen, "rope_theta", prefix),
        },
    }


DEFAULT_CONTEXT = 131_072
"""Positions of every Magistral Small, where `params.json` does not say them."""
