"""GGUF types whose codes MLX can hold as they are. Importing this loads no library: plans are made of it."""

from collections.abc import Mapping

GROUP = 32
"""Values that share a scale and a bias, in these types and in what is made of them."""
_CODE_BITS: Mapping[str, int] = {
    "Q4_0": 4,
    "Q4_1": 4,
    "Q5_0": 5,
    "Q5_1": 5,
    "Q8_0": 8,
    "Q4_K": 4,
    "Q5_K": 5,
}


def code_bits(kind: str) -> int | None:
    """Return the bits of the codes of a type that can be rewritten; None for every other type."""
    return _CODE_BITS.get(kind)
