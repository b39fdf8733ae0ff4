"""Packed KV caches: chunks see them unpacked, tokens read them packed, and both see the same."""

from pathlib import Path

import mlx.core as mx
import pytest
from mlx_lm.models import base

from magistral_mlx.checkpoint.folder import open_checkpoint
from magistral_mlx.errors import UsageError
from magistral_mlx.model.kv_cache import (
    UNPACK_FROM,
    KVCache,
    for_reading,
    group_of,
    new_layers,
)
from magistral_mlx.model.loading import load_model
from magistral_mlx.model.magistral import MagistralModel
from support.random_checkpoint import write_converted

LENGTH = UNPACK_FROM + 9


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> MagistralModel:
    return load_model(open_checkpoint(write_converted(tmp_path_factory.mktemp("random"))), dtype=mx.float32)


@pytest.fixture(scope="module")
def ids() -> mx.array:
    return mx.random.randint(100, 900, (1, LENGTH), key=mx.random.key(3))


@pytest.mark.parametrize("bits", [8, 4])
def test_a_chunk_and_single_tokens_read_the_same_cache(
    model: MagistralModel, ids: mx.array, bits: int
) -> None:
    """The chunk goes through the fused kernel on unpacked values, the tokens through mlx-lm's packed one."""
    in_one = model(ids, cache=model.make_cache(bits=bits))[0, -1]
    cache = model.make_cache(bits=bits)
    for at in range(LENGTH):
        last = model(ids[:, at : at + 1], cache=cache)[0, -1]
    assert cache[0].offset == LENGTH
    assert mx.abs(in_one - last).max().item() < 1e-3


def test_eight_bits_are_near_and_four_farther(model: MagistralModel, ids: mx.array) -> None:
    exact = model(ids, cache=model.make_cache())
    errors = [mx.abs(model(ids, cache=model.make_cache(bits=bits)) - exact).max().item() for bits in (8, 4)]
    assert 0 < errors[0] < 0.1 < errors[1] < 2  # logits are of scale 4


def test_no_chunk_writes_out_its_scores(
    model: MagistralModel, ids: mx.array, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("scores in full")

    monkeypatch.setattr(base, "quantized_scaled_dot_product_attention", refuse)
    cache = model.make_cache(bits=8)
    mx.eval(model(ids, cache=cache))
    with pytest.raises(AssertionError):
        model(ids[:, :1], cache=cache)


def test_trimming_forgets_the_end_alone(model: MagistralModel, ids: mx.array) -> None:
    cache = model.make_cache(bits=8)
    model(ids, cache=cache)
    for layer in cache:
        layer.trim(5)
    again = model(ids[:, -5:], cache=cache)[0, -1]
    assert mx.abs(again - model(ids, cache=model.make_cache(bits=8))[0, -1]).max().item() < 1e-3


def test_only_long_passes_unpack() -> None:
    packed, plain = new_layers(1, head_dim=64, bits=8)[0], new_layers(1, head_dim=64)[0]
    assert for_reading([packed, plain], 1) == [packed, plain]
    unpacking, same = for_reading([packed, plain], UNPACK_FROM)
    assert not hasattr(unpacking, "bits")
    assert same is plain


@pytest.mark.parametrize(("head_dim", "group"), [(128, 64), (64, 64), (32, 32), (96, 32)])
def test_groups_fit_the_heads(head_dim: int, group: int) -> None:
    assert group_of(head_dim) == group


def test_heads_that_no_group_fits(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="heads of 48 numbers"):
        new_layers(1, head_dim=48, bits=8)
    assert isinstance(new_layers(1, head_dim=48)[0], KVCache)
