"""`config.json` from the metadata of GGUF files: the text model's, and the vision part's (mmproj)."""

from collections.abc import Mapping

from magistral_mlx.errors import ConversionError
from magistral_mlx_convert.sources.gguf.header import GGUFHeader, Value

ARCHITECTURES = ("llama", "mistral3")
"""`general.architecture` of the text file: by age of llama.cpp, the same model under both."""

VISION_THETA = 10_000.0
"""Pixtral's rotary base; llama.cpp has it in its code, not in the file."""

_UNCHANGED = "Use a GGUF file of Magistral Small."


def is_vision_part(header: GGUFHeader) -> bool:
    """Whether the file is an mmproj, whatever it is called."""
    return header.text("general.architecture") == "clip"


def text_config(header: GGUFHeader, *, vocabulary: int) -> dict[str, object]:
    """The config of a text-only model.

    Args:
        header: the text file's.
        vocabulary: rows of the embedding.

    Raises:
        ConversionError: it is another architecture, a key is missing, or says what Magistral is not.
    """
    architecture = header.text("general.architecture")
    if architecture not in ARCHITECTURES:
        raise ConversionError(f"{header.path} is of the architecture {architecture!r:.40}", _UNCHANGED)

    def need(key: str) -> Value:
        return _need(header, f"{architecture}.{key}")

    scaling = header.text(f"{architecture}.rope.scaling.type")
    if scaling not in (None, "none"):
        raise ConversionError(
            f"{header.path}: {architecture}.rope.scaling.type is {scaling!r:.40}", _UNCHANGED
        )
    if header.number(f"{architecture}.expert_count"):
        raise ConversionError(f"{header.path}: {architecture}.expert_count is not 0", _UNCHANGED)
    width, heads = need("embedding_length"), need("attention.head_count")
    head_dim = header.number(f"{architecture}.attention.key_length") or header.number(
        f"{architecture}.rope.dimension_count"
    )
    return {
        "model_type": "mistral3",
        "text_config": {
            "model_type": "mistral",
            "hidden_act": "silu",
            "hidden_size": width,
            "intermediate_size": need("feed_forward_length"),
            "num_hidden_layers": need("block_count"),
            "num_attention_heads": heads,
            "num_key_value_heads": need("attention.head_count_kv"),
            **({} if head_dim is None else {"head_dim": head_dim}),
            "vocab_size": vocabulary,
            "rms_norm_eps": need("attention.layer_norm_rms_epsilon"),
            "rope_theta": need("rope.freq_base"),
            "max_position_embeddings": need("context_length"),
            "sliding_window": header.number(f"{architecture}.attention.sliding_window") or None,
            "tie_word_embeddings": False,
        },
    }


def with_vision(config: Mapping[str, object], header: GGUFHeader, *, image_token: int) -> dict[str, object]:
    """The same config with the vision tower that an mmproj describes.

    Raises:
        ConversionError: a key is missing, or it is another projector.
    """
    kind = header.text("clip.projector_type") or header.text("clip.vision.projector_type")
    if kind != "pixtral":
        raise ConversionError(f"{header.path} has the projector {kind!r:.40} instead of pixtral", _UNCHANGED)
    merge = header.number("clip.vision.spatial_merge_size")
    return {
        **config,
        "architectures": ["Mistral3ForConditionalGeneration"],
        "image_token_index": image_token,
        "multimodal_projector_bias": False,
        "projector_hidden_act": "gelu",
        "spatial_merge_size": 2 if merge is None else merge,
        "vision_feature_layer": -1,
        "vision_config": {
            "model_type": "pixtral",
            "hidden_act": "silu" if header.metadata.get("clip.use_silu", True) else "another",
            "hidden_size": _need(header, "clip.vision.embedding_length"),
            "intermediate_size": _need(header, "clip.vision.feed_forward_length"),
            "num_hidden_layers": _need(header, "clip.vision.block_count"),
            "num_attention_heads": _need(header, "clip.vision.attention.head_count"),
            "num_channels": 3,
            "patch_size": _need(header, "clip.vision.patch_size"),
            "image_size": _need(header, "clip.vision.image_size"),
            "rope_theta": VISION_THETA,
        },
    }


def _need(header: GGUFHeader, key: str) -> Value:
    value = header.metadata.get(key)
    if value is None:
        raise ConversionError(f"{header.path}: {key} is missing", _UNCHANGED)
    return value
