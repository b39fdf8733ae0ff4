"""What llama.cpp calls Magistral's tensors, in the text file and in the vision part (mmproj)."""

import re

from magistral_mlx_convert.sources.renaming import Rules

_LAYER = r"language_model\.model\.layers\.(\d+)\."
_SIGHT = r"vision_tower\.transformer\.layers\.(\d+)\."

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
        (_SIGHT + r"attention_norm\.weight", r"v.blk.\1.ln1.weight"),
        (_SIGHT + r"ffn_norm\.weight", r"v.blk.\1.ln2.weight"),
        (_SIGHT + r"attention\.(q|k|v)_proj\.weight", r"v.blk.\1.attn_\2.weight"),
        (_SIGHT + r"attention\.o_proj\.weight", r"v.blk.\1.attn_out.weight"),
        (_SIGHT + r"feed_forward\.(gate|up|down)_proj\.weight", r"v.blk.\1.ffn_\2.weight"),
        (r"multi_modal_projector\.norm\.weight", "mm.input_norm.weight"),
        (r"multi_modal_projector\.patch_merger\.merging_layer\.weight", "mm.patch_merger.weight"),
        (r"multi_modal_projector\.linear_1\.weight", "mm.1.weight"),
        (r"multi_modal_projector\.linear_2\.weight", "mm.2.weight"),
    )
)
"""Hugging Face name on disk -> GGUF name."""
