"""Codes in MLX's packing: the bits of a row one after the other, little-endian, in 32-bit words."""

# pyright: reportUnknownMemberType=false
# Reason: mlx leaves *shape, *axes and *args of its array methods without types.

import mlx.core as mx


def packed_words(codes: mx.array, bits: int) -> mx.array:
    """[rows, columns] of uint8 -> [rows, columns * bits / 32] of uint32, as `mx.quantize` stores codes.

    Args:
        codes: each below 2 ** bits; 32 divides the columns.
        bits: 2 to 8.
    """
    rows, columns = codes.shape
    if bits == 8:
        return mx.contiguous(codes).view(mx.uint32)
    # Eight codes fill `bits` whole bytes.
    eights = codes.reshape(rows, columns // 8, 8).astype(mx.uint64)
    shifted = eights << (mx.arange(8).astype(mx.uint64) * bits)
    words = shifted[..., 0]
    for place in range(1, 8):
        words = words | shifted[..., place]
    of_words = mx.contiguous(words[..., None]).view(mx.uint8)[..., :bits]
    return mx.contiguous(of_words.reshape(rows, -1)).view(mx.uint32)
