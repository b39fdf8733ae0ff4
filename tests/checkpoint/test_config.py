"""config.json: both spellings give the same values; what is missing, absurd or foreign is named."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx.checkpoint.folder import Quantization, parse_config
from magistral_mlx.errors import CheckpointError
from support.random_checkpoint import tiny_config

GOLDENS = Path(__file__).parents[1] / "goldens"
ABSENT = object()


def changed(path: str, value: object) -> dict[str, Any]:
    """The tiny config with the key at `path` replaced or taken away."""
    config = tiny_config()
    section: dict[str, Any] = config
    *parents, key = path.split(".")
    for parent in parents:
        section = section[parent]
    if value is ABSENT:
        section.pop(key, None)
    else:
        section[key] = value
    return config


def test_reads_every_value() -> None:
    config = parse_config(tiny_config())
    assert config.text.rope_theta == 1e9
    assert (config.text.hidden_size, config.text.head_dim, config.text.num_key_value_heads) == (64, 32, 2)
    assert config.vision is not None
    assert (config.vision.head_dim, config.vision.patch_size, config.vision.image_size) == (16, 14, 1540)
    assert config.vision.rope_theta == 10000.0
    assert (config.image_token_id, config.spatial_merge_size) == (10, 2)
    assert (config.quantization, config.dtype) == (None, "bfloat16")


def test_both_styles_of_transformers_give_the_same() -> None:
    assert parse_config(tiny_config(style=5)) == parse_config(tiny_config(style=4))


def test_reads_what_transformers_5_really_writes() -> None:
    raw = json.loads((GOLDENS / "sharded" / "config.json").read_text("utf-8"))
    config = parse_config(raw)
    assert "rope_theta" not in raw["text_config"]
    assert config.text.rope_theta == 1e9
    assert config.vision is not None
    assert config.vision.rope_theta == 10000.0


def test_both_spellings_at_once_must_agree() -> None:
    same = tiny_config(style=5)
    same["text_config"]["rope_theta"] = 1e9
    assert parse_config(same).text.rope_theta == 1e9
    same["text_config"]["rope_theta"] = 10000.0
    with pytest.raises(CheckpointError, match=r"text_config\.rope_theta contradicts"):
        parse_config(same)


def test_a_config_without_vision_is_a_text_model() -> None:
    config = parse_config(tiny_config(vision=False))
    assert config.vision is None
    assert config.text == parse_config(tiny_config()).text


def test_head_dim_has_a_default_but_keeps_its_own_value() -> None:
    assert parse_config(changed("text_config.head_dim", ABSENT)).text.head_dim == 16
    assert parse_config(changed("text_config.head_dim", 48)).text.head_dim == 48


def test_image_token_under_either_name() -> None:
    renamed = changed("image_token_index", ABSENT) | {"image_token_id": 12}
    assert parse_config(renamed).image_token_id == 12
    with pytest.raises(CheckpointError, match="image_token_index contradicts image_token_id"):
        parse_config(tiny_config(image_token_id=12))


REQUIRED = [
    "model_type",
    "text_config",
    "image_token_index",
    "spatial_merge_size",
    *(
        f"text_config.{key}"
        for key in (
            "hidden_size",
            "intermediate_size",
            "num_hidden_layers",
            "num_attention_heads",
            "num_key_value_heads",
            "vocab_size",
            "rms_norm_eps",
            "rope_theta",
            "max_position_embeddings",
        )
    ),
    *(
        f"vision_config.{key}"
        for key in (
            "model_type",
            "hidden_act",
            "hidden_size",
            "intermediate_size",
            "num_hidden_layers",
            "num_attention_heads",
            "patch_size",
            "image_size",
            "rope_theta",
        )
    ),
]


@pytest.mark.parametrize("path", REQUIRED)
def test_a_missing_key_is_named_with_its_file(path: str) -> None:
    with pytest.raises(CheckpointError) as refusal:
        parse_config(changed(path, ABSENT), file="/models/x/config.json")
    assert refusal.value.problem == f"/models/x/config.json: {path} is missing"
    assert refusal.value.remedy


@pytest.mark.parametrize("value", [0, -1, 1.5, "64", True, [64], {"a": 1}, 10**12])
@pytest.mark.parametrize(
    "path", ["text_config.hidden_size", "text_config.num_hidden_layers", "vision_config.patch_size"]
)
def test_a_size_must_be_a_sane_whole_number(path: str, value: object) -> None:
    with pytest.raises(CheckpointError, match=f"{path} must be a whole number from 1"):
        parse_config(changed(path, value))


@pytest.mark.parametrize(
    "value", [0, -1e9, "1e9", True, float("nan"), float("inf"), pytest.param(10**400, id="10**400")]
)
def test_rope_theta_must_be_a_sane_number(value: object) -> None:
    with pytest.raises(CheckpointError, match=r"text_config\.rope_theta must be a number"):
        parse_config(changed("text_config.rope_theta", value))


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("model_type", "llava", "model_type must be mistral3, not 'llava'"),
        ("text_config", [1], "text_config must be an object"),
        ("text_config.model_type", "ministral3", "text_config.model_type must be mistral"),
        ("text_config.hidden_act", "gelu", "text_config.hidden_act must be silu"),
        ("text_config.num_key_value_heads", 3, "does not divide 4 heads"),
        ("text_config.head_dim", 33, "even number"),
        ("text_config.num_hidden_layers", 10**9, "num_hidden_layers must be a whole number"),
        ("text_config.sliding_window", 4096, "sliding_window is 4096"),
        ("text_config.rope_scaling", {"factor": 2.0}, "rope_scaling is"),
        ("text_config.attention_bias", True, "attention_bias is True"),
        ("text_config.layer_types", ["sliding_attention"] * 2, "layer_types must be 2 times full_attention"),
        ("text_config.tie_word_embeddings", True, "tie_word_embeddings is True"),
        ("tie_word_embeddings", True, "tie_word_embeddings is True"),
        ("text_config.rms_norm_eps", 1.0, "rms_norm_eps must be a number between 0 and 1"),
        (
            "text_config.rope_parameters",
            {"rope_theta": 1e9, "rope_type": "yarn"},
            "rope_type must be default",
        ),
        ("text_config.rope_parameters", {"rope_theta": 1e9, "factor": 2}, "scaled or partial"),
        (
            "text_config.rope_parameters",
            {"rope_theta": 1e9, "partial_rotary_factor": 0.5},
            "scaled or partial",
        ),
        ("vision_config.model_type", "clip_vision_model", "vision_config.model_type must be pixtral"),
        ("vision_config.hidden_act", "gelu", "vision_config.hidden_act must be silu"),
        ("vision_config.num_attention_heads", 3, "heads of it are not hidden_size"),
        ("vision_config.num_attention_heads", 32, "heads of it are not hidden_size"),
        ("vision_config.num_channels", 1, "num_channels must be 3"),
        ("vision_config.rms_norm_eps", 1e-6, "rms_norm_eps must be 1e-05"),
        ("vision_config.image_size", 14, "smaller than one merged patch"),
        ("vision_feature_layer", -2, "vision_feature_layer must be -1"),
        ("projector_hidden_act", "relu", "projector_hidden_act must be gelu"),
        ("multimodal_projector_bias", True, "multimodal_projector_bias is True"),
        ("image_token_index", 5000, "outside the vocabulary of 1124"),
        ("torch_dtype", "float8_e4m3fn", "dtype must be one of"),
        ("dtype", "float32", "dtype must be one of"),
        ("quantization_config", {"quant_method": "fp8"}, "packed with 'fp8'"),
        ("quantization", {"bits": 4}, "quantization.group_size is missing"),
        (
            "quantization",
            {"bits": 7, "group_size": 64},
            "quantization.bits must be 2 or 3 or 4 or 5 or 6 or 8",
        ),
        ("quantization", {"bits": 4, "group_size": 48}, "quantization.group_size must be"),
        ("quantization", {"bits": True, "group_size": 64}, "quantization.bits must be"),
        ("quantization", {"bits": 4, "group_size": 64, "mode": "gptq"}, "quantization.mode must be"),
        ("quantization", {"bits": 8, "group_size": 32, "mode": "mxfp4"}, "quantization.bits must be 4"),
        ("quantization", {"bits": 4, "group_size": 64, "\x1b[31m": True}, "impossible module '\\x1b[31m'"),
        ("quantization", {"bits": 4, "group_size": 64, "a.b": 3}, "quantization.a.b must be an object"),
        ("quantization", {"bits": 4, "group_size": 64, "a.b": {"bits": 4}}, "a.b.group_size is missing"),
    ],
)
def test_what_would_compute_something_else_is_refused(path: str, value: object, told: str) -> None:
    with pytest.raises(CheckpointError) as refusal:
        parse_config(changed(path, value))
    assert told in refusal.value.problem
    assert refusal.value.problem.startswith("config.json: ")
    assert refusal.value.remedy


PATHS = [
    *tiny_config(),
    *(f"{section}.{key}" for section in ("text_config", "vision_config") for key in tiny_config()[section]),
    *(
        "dtype",
        "quantization",
        "tie_word_embeddings",
        "text_config.rope_parameters",
        "vision_config.head_dim",
    ),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8) | st.just("bits"), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(path=st.sampled_from(PATHS), value=JSON)
def test_any_value_of_any_key_is_read_or_refused(path: str, value: object) -> None:
    """Whatever stands in the file: a config or a CheckpointError in one line, never another exception."""
    try:
        parse_config(changed(path, value))
    except CheckpointError as refusal:
        told = str(refusal)
        assert len(told) < 400
        assert told.isprintable()


def test_quantization_with_exceptions() -> None:
    table = {
        "bits": 4,
        "group_size": 64,
        "language_model.lm_head": {"bits": 8, "group_size": 32},
        "multi_modal_projector.linear_1": False,
        "multi_modal_projector.linear_2": True,
    }
    quantization = parse_config(tiny_config(quantization=table, quantization_config=table)).quantization
    assert quantization is not None
    assert (quantization.bits, quantization.group_size, quantization.mode) == (4, 64, "affine")
    head = quantization.of_module("language_model.lm_head", has_scales=True)
    assert head == Quantization(bits=8, group_size=32, mode="affine")
    assert quantization.of_module("multi_modal_projector.linear_1", has_scales=True) is None
    assert quantization.of_module("multi_modal_projector.linear_2", has_scales=False) is not None


def test_without_exception_the_stored_scales_decide() -> None:
    quantization = parse_config(tiny_config(quantization={"bits": 4, "group_size": 64})).quantization
    assert quantization is not None
    assert quantization.of_module("any.module", has_scales=True) is quantization
    assert quantization.of_module("any.module", has_scales=False) is None


def test_a_null_mode_is_affine() -> None:
    config = parse_config(tiny_config(quantization={"bits": 4, "group_size": 64, "mode": None}))
    assert config.quantization == Quantization(bits=4, group_size=64, mode="affine")
