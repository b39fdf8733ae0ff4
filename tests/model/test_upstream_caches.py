"""What this project relies on in mlx-lm's KV caches and sampler, beyond what its names promise.

model/batch_cache.py drives `BatchKVCache` itself, model/kv_cache.py copies, packs and fills caches from
outside. A failure here after an upgrade names what changed; the message says which file relies on it.
"""

import copy
import inspect
from typing import Any

import mlx.core as mx
import pytest
from mlx_lm.models import llama
from mlx_lm.models.cache import BatchKVCache, KVCache, QuantizedKVCache
from mlx_lm.sample_utils import apply_top_p

from magistral_mlx.checkpoint.config import parse_config
from magistral_mlx.model.decoder import build_decoder
from support.random_checkpoint import tiny_config

BATCHES = "model/batch_cache.py (ask_many) relies on it"
COPIES = "model/kv_cache.py relies on it"
LENGTHS = (5, 3, 9)


def filled(length: int, *, seed: int = 0, heads: int = 2, size: int = 8) -> KVCache:
    cache = KVCache()
    keys = mx.random.normal((1, heads, length, size), key=mx.random.key(seed))
    cache.update_and_fetch(keys, -keys)
    return cache


def rows_of(cache: Any) -> list[mx.array]:
    """The keys of each row of a batch, without what pads them."""
    keys, _ = cache.keys_and_values()
    return [keys[row : row + 1, :, pad:] for row, pad in enumerate(cache.left_padding.tolist())]


def batch() -> tuple[Any, list[mx.array]]:
    """A batch of three rows that was made as `BatchCache.add` makes it, and the keys of each alone."""
    singles = [filled(length, seed=length) for length in LENGTHS]
    alone = [single.keys[..., : single.offset, :] for single in singles]
    merged: Any = BatchKVCache.merge(singles[:1])
    for single in singles[1:]:
        merged.extend(BatchKVCache.merge([single]))
    return merged, alone


def test_a_batch_is_made_of_single_caches_row_by_row() -> None:
    merged, alone = batch()
    assert merged.offset.tolist() == list(LENGTHS), f"BatchKVCache.offset counts per row: {BATCHES}"
    for row, keys in zip(rows_of(merged), alone, strict=True):
        assert mx.array_equal(row, keys), f"merge and extend align rows at their ends: {BATCHES}"


@pytest.mark.parametrize("kept", [[0, 1], [2], [1, 2], [0, 2]])
def test_a_batch_forgets_rows_and_keeps_the_others(kept: list[int]) -> None:
    merged, alone = batch()
    merged.filter(kept)
    assert merged.offset.tolist() == [LENGTHS[row] for row in kept], f"filter keeps the order: {BATCHES}"
    for row, place in zip(rows_of(merged), kept, strict=True):
        assert mx.array_equal(row, alone[place]), f"filter keeps what rows hold: {BATCHES}"


def test_a_batch_grows_by_one_position_per_row_and_takes_new_rows_afterwards() -> None:
    merged, alone = batch()
    step = mx.random.normal((3, 2, 1, 8))
    merged.update_and_fetch(step, step)
    newcomer = filled(12, seed=12)
    merged.extend(BatchKVCache.merge([newcomer]))
    expected = [mx.concatenate([keys, step[row : row + 1]], axis=2) for row, keys in enumerate(alone)]
    expected.append(newcomer.keys[..., :12, :])
    for row, keys in zip(rows_of(merged), expected, strict=True):
        assert mx.array_equal(row, keys), f"extend after a pass: {BATCHES}"


def test_the_decoder_sees_each_row_of_a_batch_as_if_alone() -> None:
    """Masks and rotary positions come from the cache alone: rows of different lengths need nothing else."""
    text = parse_config(tiny_config(vision=False)).text
    decoder: Any = build_decoder(text)
    prompts = [mx.array([[100 + 7 * place for place in range(length)]]) for length in LENGTHS]
    alone: list[mx.array] = []
    caches: list[list[KVCache]] = []
    for prompt in prompts:
        own = [KVCache() for _ in range(text.num_hidden_layers)]
        decoder(prompt, cache=own)
        caches.append([copy.deepcopy(layer) for layer in own])
        alone.append(decoder(mx.array([[321]]), cache=own)[:, -1])
    side_by_side: list[Any] = [BatchKVCache.merge(list(layers)) for layers in zip(*caches, strict=True)]
    together = decoder(mx.array([[321]] * 3), cache=side_by_side)[:, -1]
    difference = mx.abs(together - mx.concatenate(alone)).max().item()
    assert difference < 1e-4, f"llama.Model masks rows by BatchKVCache.make_mask: {BATCHES}"


def test_a_cache_is_its_keys_values_and_offset() -> None:
    """Copied, cut and filled from outside: there is nothing else in it that would have to fit."""
    for cache, names in (
        (KVCache(), {"keys", "values", "offset"}),
        (QuantizedKVCache(group_size=32, bits=8), {"keys", "values", "offset", "group_size", "bits"}),
    ):
        assert set(vars(cache)) == names, f"{type(cache).__name__} holds {sorted(vars(cache))}: {COPIES}"
    half: Any = copy.copy(filled(6))
    half.keys, half.values, half.offset = half.keys[..., :3, :], half.values[..., :3, :], 3
    more = mx.ones((1, 2, 1, 8))
    keys, _ = half.update_and_fetch(more, more)
    assert mx.array_equal(keys, mx.concatenate([filled(6).keys[..., :3, :], more], axis=2)), COPIES


def test_a_packed_cache_holds_triples_and_can_be_filled_from_outside() -> None:
    packed: Any = filled(5, size=32).to_quantized(group_size=32, bits=4)
    assert isinstance(packed, QuantizedKVCache), COPIES
    assert len({part.shape[-2] for part in packed.keys}) == 1, COPIES
    other: Any = QuantizedKVCache(group_size=32, bits=4)
    other.keys = [part[..., :5, :] for part in packed.keys]
    other.values = [part[..., :5, :] for part in packed.values]
    other.offset = 5
    more = mx.ones((1, 2, 1, 32))
    for one, two in zip(packed.update_and_fetch(more, more), other.update_and_fetch(more, more), strict=True):
        assert all(mx.array_equal(a, b) for a, b in zip(one, two, strict=True)), COPIES
    sizes = [part.nbytes for part in (*packed.keys, *packed.values)]
    assert packed.nbytes == sum(sizes), f"nbytes counts the packed bytes, scales and biases: {COPIES}"


def test_a_layer_takes_a_mask_by_name() -> None:
    """`model/decoder.py` runs single layers over several prompts for reports."""
    for layer in (llama.TransformerBlock, llama.Attention):
        assert list(inspect.signature(layer.__call__).parameters)[1:] == ["x", "mask", "cache"]


def test_top_p_keeps_the_likeliest_and_rules_out_the_rest() -> None:
    """`generation/mlx_lm_sampling.py`: log-probabilities in, the same out, minus infinity for the others."""
    logprobs = mx.log(mx.array([[0.5, 0.3, 0.15, 0.05]]))
    kept = apply_top_p(logprobs, 0.7)
    assert mx.isinf(kept).tolist() == [[False, False, True, True]]
    assert mx.array_equal(kept[0, :2], logprobs[0, :2])
