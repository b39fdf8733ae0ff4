"""The parts of calibrated quantization: packing, ranges, error feedback."""

import mlx.core as mx
import pytest

from magistral_mlx_convert.quantize.curvature import BLOCK, WIDEST, Gram, block_curvature, block_widths
from magistral_mlx_convert.quantize.feedback import Quantized, quantize_with_feedback
from magistral_mlx_convert.quantize.packed_words import packed_words
from magistral_mlx_convert.quantize.ranges import choose_ranges, codes_of


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 8])
def test_codes_are_packed_as_mlx_packs_them(bits: int) -> None:
    weights = mx.random.normal((8, 256), key=mx.random.key(bits))
    packed, scales, biases = mx.quantize(weights, 32, bits)
    groups = weights.reshape(8, -1, 32)
    codes = codes_of(groups, scales[..., None], biases[..., None], bits).reshape(8, -1).astype(mx.uint8)
    assert mx.array_equal(packed_words(codes, bits), packed)


def inputs_of(columns: int) -> mx.array:
    """Tokens whose channels differ in size and go together, as those of a model do."""
    keys = mx.random.split(mx.random.key(1), 3)
    mixing = mx.random.normal((columns, columns), key=keys[0]) * mx.exp(
        mx.random.normal((columns,), key=keys[1])
    )
    return mx.random.normal((1000, columns), key=keys[2]) @ mixing


def off(inputs: mx.array, exact: mx.array, rounded: mx.array) -> float:
    return float(mx.sum(mx.square(inputs @ (exact - rounded))))


def plainly(weights: mx.array, bits: int) -> mx.array:
    codes, scales, biases = mx.quantize(weights.T, 32, bits)
    return mx.dequantize(codes, scales, biases, 32, bits).T


def searched(weights: mx.array, importance: mx.array, bits: int) -> mx.array:
    parts: list[mx.array] = []
    for first in range(0, weights.shape[0], 32):
        group = weights[first : first + 32]
        scale, bias = choose_ranges(group, importance[first : first + 32], bits=bits, dtype=mx.float32)
        parts.append(codes_of(group, scale, bias, bits) * scale + bias)
    return mx.concatenate(parts)


def fed_back(weights: mx.array, gram: mx.array, bits: int) -> Quantized:
    curvature = block_curvature(gram, 32)
    return quantize_with_feedback(weights, curvature, group_size=32, bits=bits, dtype=mx.float32)


@pytest.mark.parametrize("bits", [3, 4, 5])
def test_each_step_leaves_less_error_in_the_outputs(bits: int) -> None:
    inputs = inputs_of(128)
    weights = mx.random.normal((128, 64), key=mx.random.key(2))
    gram = Gram((128,))
    gram.add(inputs[:600])
    gram.add(inputs[600:])
    importance = mx.diagonal(gram.blocks[0])[:, None]
    plain = off(inputs, weights, plainly(weights, bits))
    by_search = off(inputs, weights, searched(weights, importance, bits))
    by_feedback = off(inputs, weights, fed_back(weights, gram.blocks[0], bits).weights())
    assert by_search < 0.8 * plain
    assert by_feedback < 0.7 * by_search


def test_weights_on_a_grid_come_back_as_they_are() -> None:
    codes = mx.random.randint(0, 16, (64, 16), key=mx.random.key(3))
    codes[0], codes[1], codes[32], codes[33] = 0, 15, 0, 15
    weights = codes * 0.25 - 2.0
    quantized = fed_back(weights, mx.eye(64), 4)
    assert mx.allclose(quantized.weights(), weights, atol=1e-5)


def test_inputs_that_are_all_zero_leave_the_plain_search() -> None:
    weights = mx.random.normal((64, 16), key=mx.random.key(4))
    rounded = fed_back(weights, mx.zeros((64, 64)), 4).weights()
    assert bool(mx.all(mx.isfinite(rounded)))
    assert mx.allclose(rounded, searched(weights, mx.ones((64, 1)), 4), atol=1e-5)


def test_rows_do_not_know_of_each_other() -> None:
    inputs, weights = inputs_of(64), mx.random.normal((64, 40), key=mx.random.key(5))
    gram = inputs.T @ inputs
    whole = fed_back(weights, gram, 4).codes
    parts = [fed_back(weights[:, :24], gram, 4).codes, fed_back(weights[:, 24:], gram, 4).codes]
    assert mx.array_equal(whole, mx.concatenate(parts, axis=1))


def test_wide_matrices_get_blocks_of_whole_groups() -> None:
    assert block_widths(5120, 64) == (5120,)
    assert block_widths(WIDEST, 32) == (WIDEST,)
    widths = block_widths(32768, 64)
    assert sum(widths) == 32768
    assert set(widths) == {BLOCK}
