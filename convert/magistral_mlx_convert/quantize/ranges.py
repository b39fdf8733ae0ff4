"""Scale and bias of a group by search: the least squared error, weighted by what each weight multiplies.

`mx.quantize` spans a group's minimum and maximum. Smaller ranges clip a few weights and round the others
finer. Each candidate range is refined twice: codes are rounded, then scale and bias fitted to them by least
squares. Scales and biases are rounded to their stored dtype before an error counts.
"""

# pyright: reportUnknownMemberType=false
# Reason: mlx leaves *shape, *axes and *args of its array methods without types.

import mlx.core as mx

SHRINKS = tuple(step / 80 for step in range(16))
"""What each candidate cuts off both ends of the range, as a share of it."""

_REFITS = 2
_LEAST_SCALE = 1e-8


def codes_of(weights: mx.array, scales: mx.array, biases: mx.array, bits: int) -> mx.array:
    """The nearest codes, as floats."""
    return mx.clip(mx.round((weights - biases) / scales), 0, 2**bits - 1)


def choose_ranges(
    weights: mx.array, importance: mx.array, *, bits: int, dtype: mx.Dtype
) -> tuple[mx.array, mx.array]:
    """Scales and biases of groups along the first axis: [size, groups] -> two times [1, groups].

    Args:
        weights: [size, groups], float32.
        importance: [size, 1] or [size, groups], the weight of each squared error; not negative.
        bits: of a code.
        dtype: in which scales and biases are stored; they are returned in float32.
    """
    search = _Search(weights, importance, bits=bits, dtype=dtype)
    low, high = mx.min(weights, axis=0, keepdims=True), mx.max(weights, axis=0, keepdims=True)
    for shrink in SHRINKS:
        cut = (high - low) * shrink
        scale = (high - low - 2 * cut) / (2**bits - 1)
        codes = search.consider(scale, low + cut)
        for _ in range(_REFITS):
            codes = search.consider(*search.fitted(codes, scale))
        mx.eval(search.scales, search.biases, search.error)
    return search.scales, search.biases


class _Search:
    """The best candidate so far."""

    def __init__(self, weights: mx.array, importance: mx.array, *, bits: int, dtype: mx.Dtype) -> None:
        self._weights, self._bits, self._dtype = weights, bits, dtype
        self._importance = importance + 1e-12  # a group that nothing reads is fitted all the same
        self._total = mx.sum(self._importance, axis=0, keepdims=True)
        self._weighted = mx.sum(self._importance * weights, axis=0, keepdims=True)
        shape = (1, weights.shape[1])
        self.error = mx.full(shape, mx.inf)
        self.scales, self.biases = mx.ones(shape), mx.zeros(shape)

    def consider(self, scales: mx.array, biases: mx.array) -> mx.array:
        """Keeps the candidate where it is better; gives its codes."""
        scales = mx.where(mx.abs(scales) < _LEAST_SCALE, _LEAST_SCALE, scales)
        scales, biases = _rounded(scales, self._dtype), _rounded(biases, self._dtype)
        codes = codes_of(self._weights, scales, biases, self._bits)
        off = codes * scales + biases - self._weights
        error = mx.sum(self._importance * off * off, axis=0, keepdims=True)
        better = error < self.error
        self.error = mx.where(better, error, self.error)
        self.scales = mx.where(better, scales, self.scales)
        self.biases = mx.where(better, biases, self.biases)
        return codes

    def fitted(self, codes: mx.array, otherwise: mx.array) -> tuple[mx.array, mx.array]:
        """Scales and biases of least weighted error for the codes; `otherwise` where all codes are alike."""
        weighted = self._importance * codes
        first = mx.sum(weighted, axis=0, keepdims=True)
        second = mx.sum(weighted * codes, axis=0, keepdims=True)
        mixed = mx.sum(weighted * self._weights, axis=0, keepdims=True)
        spread = self._total * second - first * first
        scales = (self._total * mixed - first * self._weighted) / mx.maximum(spread, 1e-12)
        scales = mx.where(spread <= 1e-12, otherwise, scales)
        return scales, (self._weighted - scales * first) / self._total


def _rounded(values: mx.array, dtype: mx.Dtype) -> mx.array:
    return values.astype(dtype).astype(mx.float32)
