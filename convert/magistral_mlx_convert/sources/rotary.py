"""The order of query and key rows: Mistral's own files and GGUF pair neighbours, Hugging Face pairs halves.

Rotary embeddings turn pairs of features. Within a head of d rows, the native order holds pair k in the rows
2k and 2k + 1, the order of Hugging Face in the rows k and k + d/2 (`permute_for_rope` of Transformers'
convert_mistral3_weights_to_hf.py). Values and outputs are not turned and keep their order.
"""

import math
from collections.abc import Callable

from magistral_mlx.model_config import ModelConfig

ReadRows = Callable[[int, memoryview], None]
"""Fills a buffer with whole rows, from that row on."""


def rotary_head_dim(name: str, config: ModelConfig) -> int | None:
    """Rows of one head, for the name (in the spelling of Hugging Face) of a matrix that is permuted.

    None for every other tensor: only queries and keys are turned, in the text model and in the vision tower.
    """
    if not name.endswith((".q_proj.weight", ".k_proj.weight")):
        return None
    if name.startswith("language_model."):
        return config.text.head_dim
    return config.vision.head_dim if config.vision is not None else None


def read_permuted(read: ReadRows, first: int, into: memoryview, *, row_bytes: int, head_dim: int) -> None:
    """Fills `into` with rows in the order of Hugging Face, from row `first` on, of a matrix in native order.

    Args:
        read: reads rows in native order.
        row_bytes: bytes of one row.
        head_dim: rows of one head; the matrix has whole heads.
    """
    rows = into.nbytes // row_bytes
    first_head, last_head = first // head_dim, math.ceil((first + rows) / head_dim)
    native = memoryview(bytearray((last_head - first_head) * head_dim * row_bytes))
    read(first_head * head_dim, native)
    half = head_dim // 2
    for target in range(rows):
        head, place = divmod(first + target, head_dim)
        pair, part = place % half, place // half
        start = ((head - first_head) * head_dim + 2 * pair + part) * row_bytes
        into[target * row_bytes : (target + 1) * row_bytes] = native[start : start + row_bytes]
