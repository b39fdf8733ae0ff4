"""The parameters a converted folder must hold: every name with its shape, from the config alone.

Names are the model's own (`language_model.*` as in mlx-lm, `vision_tower.vision_model.*` and
`multi_modal_projector.*` as in mlx-vlm), so that loading needs no mapping.
"""

from collections.abc import Iterator, Mapping

from magistral_mlx.checkpoint.config import ModelConfig, Quantization, TextConfig, VisionConfig

VISION_PREFIXES = ("vision_tower.", "multi_modal_projector.")
"""Prefixes of the parameters that a text-only folder lacks."""

Shape = tuple[int, ...]


def parameter_shapes(config: ModelConfig) -> dict[str, Shape]:
    """Name -> shape of every parameter as the model computes with it, before any quantization.

    Convolutions are in MLX's order: out, height, width, in.
    """
    parameters = dict(_text(config.text))
    if config.vision is not None:
        parameters.update(_vision(config.vision))
        parameters.update(_projector(config, config.vision))
    return parameters


def packed_shapes(name: str, shape: Shape, packing: Quantization) -> Mapping[str, tuple[Shape, str]]:
    """Return the stored tensors of one quantized parameter: name -> (shape, dtype in safetensors' spelling).

    "float" as dtype stands for any of F32, F16, BF16. Layout of `mlx.core.quantize`: codes packed along the
    last axis into 32-bit words; one scale per group; affine packings one bias per group beside it.
    """
    path = name.removesuffix(".weight")
    rows, columns = shape
    groups = (rows, columns // packing.group_size)
    stored = {name: ((rows, columns * packing.bits // 32), "U32")}
    if packing.mode == "affine":
        return stored | {f"{path}.scales": (groups, "float"), f"{path}.biases": (groups, "float")}
    return stored | {f"{path}.scales": (groups, "U8")}


def _text(text: TextConfig) -> Iterator[tuple[str, Shape]]:
    hidden, inner = text.hidden_size, text.intermediate_size
    queries = text.num_attention_heads * text.head_dim
    keys = text.num_key_value_heads * text.head_dim
    yield "language_model.model.embed_tokens.weight", (text.vocab_size, hidden)
    for index in range(text.num_hidden_layers):
        layer = f"language_model.model.layers.{index}"
        yield f"{layer}.input_layernorm.weight", (hidden,)
        yield f"{layer}.self_attn.q_proj.weight", (queries, hidden)
        yield f"{layer}.self_attn.k_proj.weight", (keys, hidden)
        yield f"{layer}.self_attn.v_proj.weight", (keys, hidden)
        yield f"{layer}.self_attn.o_proj.weight", (hidden, queries)
        yield f"{layer}.post_attention_layernorm.weight", (hidden,)
        yield f"{layer}.mlp.gate_proj.weight", (inner, hidden)
        yield f"{layer}.mlp.up_proj.weight", (inner, hidden)
        yield f"{layer}.mlp.down_proj.weight", (hidden, inner)
    yield "language_model.model.norm.weight", (hidden,)
    yield "language_model.lm_head.weight", (text.vocab_size, hidden)


def _vision(vision: VisionConfig) -> Iterator[tuple[str, Shape]]:
    hidden, inner, patch = vision.hidden_size, vision.intermediate_size, vision.patch_size
    tower = "vision_tower.vision_model"
    yield f"{tower}.patch_conv.weight", (hidden, patch, patch, vision.num_channels)
    yield f"{tower}.ln_pre.weight", (hidden,)
    for index in range(vision.num_hidden_layers):
        layer = f"{tower}.transformer.layers.{index}"
        yield f"{layer}.attention_norm.weight", (hidden,)
        for projection in ("q_proj", "k_proj", "v_proj", "o_proj"):
            yield f"{layer}.attention.{projection}.weight", (hidden, hidden)
        yield f"{layer}.ffn_norm.weight", (hidden,)
        yield f"{layer}.feed_forward.gate_proj.weight", (inner, hidden)
        yield f"{layer}.feed_forward.up_proj.weight", (inner, hidden)
        yield f"{layer}.feed_forward.down_proj.weight", (hidden, inner)


def _projector(config: ModelConfig, vision: VisionConfig) -> Iterator[tuple[str, Shape]]:
    seen, read = vision.hidden_size, config.text.hidden_size
    yield "multi_modal_projector.norm.weight", (seen,)
    merged = seen * config.spatial_merge_size**2
    yield "multi_modal_projector.patch_merger.merging_layer.weight", (seen, merged)
    yield "multi_modal_projector.linear_1.weight", (read, seen)
    yield "multi_modal_projector.linear_2.weight", (read, read)
