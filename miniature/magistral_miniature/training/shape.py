"""The dimensions of the miniature, and its config.json."""

from dataclasses import dataclass

__all__ = ["SHAPE", "Shape", "config_json"]


@dataclass(frozen=True)
class Shape:
    """Dimensions of the network; those of the decoder are multiples of 64, the 4-bit group size."""

    vocabulary: int = 1536
    special_tokens: int = 64
    hidden: int = 192
    layers: int = 6
    heads: int = 4
    key_value_heads: int = 2
    head_dim: int = 64
    intermediate: int = 512
    rope_base: float = 10_000.0
    norm_epsilon: float = 1e-5
    vision_hidden: int = 128
    vision_layers: int = 3
    vision_heads: int = 4
    vision_head_dim: int = 32
    vision_intermediate: int = 256
    patch: int = 14
    merge: int = 2
    longest_edge: int = 1540
    longest_text: int = 4096


SHAPE = Shape()
"""The shape of the miniature."""


def config_json(shape: Shape = SHAPE) -> dict[str, object]:
    """Return config.json in Magistral's form: flat `rope_theta`, untied embeddings."""
    return {
        "architectures": ["Mistral3ForConditionalGeneration"],
        "model_type": "mistral3",
        "dtype": "bfloat16",
        "image_token_index": 10,
        "multimodal_projector_bias": False,
        "projector_hidden_act": "gelu",
        "spatial_merge_size": shape.merge,
        "vision_feature_layer": -1,
        "tie_word_embeddings": False,
        "text_config": {
            "model_type": "mistral",
            "vocab_size": shape.vocabulary,
            "hidden_size": shape.hidden,
            "intermediate_size": shape.intermediate,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.key_value_heads,
            "head_dim": shape.head_dim,
            "hidden_act": "silu",
            "rope_theta": shape.rope_base,
            "rms_norm_eps": shape.norm_epsilon,
            "max_position_embeddings": shape.longest_text,
            "sliding_window": None,
            "attention_dropout": 0.0,
            "initializer_range": 0.02,
            "tie_word_embeddings": False,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "use_cache": True,
        },
        "vision_config": {
            "model_type": "pixtral",
            "hidden_size": shape.vision_hidden,
            "intermediate_size": shape.vision_intermediate,
            "num_hidden_layers": shape.vision_layers,
            "num_attention_heads": shape.vision_heads,
            "head_dim": shape.vision_head_dim,
            "image_size": shape.longest_edge,
            "patch_size": shape.patch,
            "num_channels": 3,
            "hidden_act": "silu",
            "rope_theta": shape.rope_base,
            "attention_dropout": 0.0,
            "initializer_range": 0.02,
        },
    }
