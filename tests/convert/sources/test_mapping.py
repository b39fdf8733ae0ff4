"""The mapping is a bijection: each source tensor is used or dropped with a reason, each parameter filled."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx.checkpoint.config import ModelConfig, parse_config
from magistral_mlx.checkpoint.parameters import parameter_shapes
from magistral_mlx.errors import ConversionError
from magistral_mlx_convert.sources.mapping import map_tensors, source_names
from magistral_mlx_convert.sources.source import SourceTensor
from support.random_checkpoint import tiny_config


def a_config(**layers: int) -> ModelConfig:
    raw: dict[str, Any] = tiny_config()
    raw["text_config"]["num_hidden_layers"] = layers.get("text", 2)
    raw["vision_config"]["num_hidden_layers"] = layers.get("vision", 1)
    return parse_config(raw)


def a_source(config: ModelConfig, *, spelling: int = 0) -> dict[str, SourceTensor]:
    tensors: dict[str, SourceTensor] = {}
    for target, shape in parameter_shapes(config).items():
        name = source_names(target)[spelling]
        if len(shape) == 4:
            shape = (shape[0], shape[3], shape[1], shape[2])
        tensors[name] = SourceTensor(name=name, dtype="BF16", shape=shape, file="model.safetensors")
    return tensors


@given(text=st.integers(1, 12), vision=st.integers(1, 12), choice=st.randoms(use_true_random=False))
def test_every_parameter_is_filled_once_from_its_own_tensor(text: int, vision: int, choice: Any) -> None:
    config = a_config(text=text, vision=vision)
    old, new = a_source(config), a_source(config, spelling=1)
    mixed = [choice.choice(pair) for pair in zip(old.values(), new.values(), strict=True)]
    choice.shuffle(mixed)

    mapped = map_tensors(config, {tensor.name: tensor for tensor in mixed})

    assert [parameter.name for parameter in mapped.parameters] == list(parameter_shapes(config))
    used = [parameter.source.name for parameter in mapped.parameters]
    assert sorted(used) == sorted(tensor.name for tensor in mixed)
    assert len(set(used)) == len(used)
    assert not mapped.dropped


def test_the_official_names_lead_to_the_names_of_mlx() -> None:
    # facts of the format, spelled out by hand: the table is not its own witness
    config = a_config()
    target_of = {
        parameter.source.name: parameter.name
        for parameter in map_tensors(config, a_source(config)).parameters
    }
    for source, target in {
        "language_model.model.layers.1.self_attn.q_proj.weight": None,
        "language_model.lm_head.weight": None,
        "multi_modal_projector.patch_merger.merging_layer.weight": None,
        "vision_tower.patch_conv.weight": "vision_tower.vision_model.patch_conv.weight",
        "vision_tower.ln_pre.weight": "vision_tower.vision_model.ln_pre.weight",
        "vision_tower.transformer.layers.0.attention.k_proj.weight": (
            "vision_tower.vision_model.transformer.layers.0.attention.k_proj.weight"
        ),
    }.items():
        assert target_of[source] == (target or source)


def test_the_names_of_a_state_dict_in_memory() -> None:
    assert source_names("language_model.lm_head.weight")[1] == "lm_head.weight"
    assert source_names("language_model.model.norm.weight")[1] == "model.language_model.norm.weight"
    assert source_names("vision_tower.vision_model.ln_pre.weight")[1] == "model.vision_tower.ln_pre.weight"
    assert source_names("multi_modal_projector.norm.weight")[1] == "model.multi_modal_projector.norm.weight"


@given(st.data())
def test_a_missing_tensor_is_named(data: st.DataObject) -> None:
    config = a_config()
    tensors = a_source(config)
    gone = data.draw(st.sampled_from(sorted(tensors)))
    del tensors[gone]
    with pytest.raises(ConversionError, match=gone.replace(".", r"\.")):
        map_tensors(config, tensors)


@given(st.data())
def test_a_misshapen_tensor_is_named_with_both_shapes(data: st.DataObject) -> None:
    config = a_config()
    tensors = a_source(config)
    name = data.draw(st.sampled_from(sorted(tensors)))
    right = tensors[name].shape
    wrong = data.draw(st.sampled_from([right[:-1], (*right, 1), (right[0] + 1, *right[1:])]))
    tensors[name] = SourceTensor(name=name, dtype="BF16", shape=wrong, file="shard-7")
    with pytest.raises(ConversionError) as caught:
        map_tensors(config, tensors)
    for part in (name, "shard-7", str(list(right)), str(list(wrong))):
        assert part in str(caught.value)


def test_an_unknown_tensor_is_named() -> None:
    config = a_config()
    tensors = a_source(config)
    extra = "language_model.model.layers.2.mlp.up_proj.weight"
    tensors[extra] = SourceTensor(name=extra, dtype="BF16", shape=(128, 64), file="model.safetensors")
    with pytest.raises(ConversionError, match=r"layers\.2\.mlp\.up_proj.*no place"):
        map_tensors(config, tensors)


def test_a_bias_is_not_lost_silently() -> None:
    config = a_config()
    tensors = a_source(config)
    bias = "multi_modal_projector.linear_1.bias"
    tensors[bias] = SourceTensor(name=bias, dtype="BF16", shape=(64,), file="model.safetensors")
    with pytest.raises(ConversionError, match=r"linear_1\.bias"):
        map_tensors(config, tensors)


def test_the_same_parameter_twice_is_refused() -> None:
    config = a_config()
    tensors = a_source(config) | {
        "lm_head.weight": SourceTensor("lm_head.weight", "BF16", (1124, 64), "model.safetensors")
    }
    with pytest.raises(ConversionError, match="both fill"):
        map_tensors(config, tensors)


@pytest.mark.parametrize("dtype", ["F8_E4M3", "I8", "F64"])
def test_a_dtype_that_cannot_be_read_is_refused(dtype: str) -> None:
    config = a_config()
    tensors = a_source(config)
    name = "language_model.lm_head.weight"
    tensors[name] = SourceTensor(name, dtype, (1124, 64), "model.safetensors")
    with pytest.raises(ConversionError, match=f"lm_head.*{dtype}"):
        map_tensors(config, tensors)


def test_computed_buffers_are_dropped_with_their_reason() -> None:
    config = a_config()
    tensors = a_source(config)
    name = "language_model.model.layers.0.self_attn.rotary_emb.inv_freq"
    tensors[name] = SourceTensor(name, "F32", (16,), "model.safetensors")
    assert map_tensors(config, tensors).dropped == {name: "rotary frequencies: computed from rope_theta"}
