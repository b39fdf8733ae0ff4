"""The numbers: a numpy reference of the CPU kernel, bit for bit; values that are not finite; buffers."""

from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx.errors import ConversionError
from magistral_mlx_convert import convert
from magistral_mlx_convert.writing.kernel import Buffer
from support.hf_checkpoint import (
    INFINITY,
    MINUS_INFINITY,
    MINUS_NAN,
    NAN,
    RawTensor,
    change_weights,
    read_folder,
)
from support.random_checkpoint import write_source

HEAD = "language_model.lm_head.weight"


def round_to(values: np.ndarray, dtype: str) -> np.ndarray:
    """float32 rounded to nearest even in another dtype, as float32."""
    if dtype == "float16":
        return values.astype(np.float16).astype(np.float32)
    if dtype == "float32":
        return values
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)).view(np.float32)


def quantize_in_numpy(
    weights: np.ndarray, *, bits: int, group_size: int, dtype: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes (one per weight), scales and biases of MLX's affine CPU kernel, in float32 arithmetic throughout.

    Each group is anchored at its edge of larger magnitude, which is then stored exactly; ties go to even.
    """
    groups = weights.reshape(-1, group_size).astype(np.float32)
    most = np.float32(2**bits - 1)
    low, high = groups.min(axis=1), groups.max(axis=1)
    anchored_low = np.abs(low) > np.abs(high)
    scale = np.maximum((high - low) / most, np.float32(1e-7))
    scale = np.where(anchored_low, scale, -scale)
    edge = np.where(anchored_low, low, high)
    steps = np.rint(edge / scale)
    anchored = steps != 0
    scale = np.where(anchored, edge / np.where(anchored, steps, 1), scale).astype(np.float32)
    bias = np.where(anchored, edge, np.float32(0))
    codes = np.clip(np.rint((groups - bias[:, None]) / scale[:, None]), 0, most).astype(np.uint32)
    rows = weights.shape[0]
    return (
        codes.reshape(weights.shape),
        round_to(scale, dtype).reshape(rows, -1),
        round_to(bias, dtype).reshape(rows, -1),
    )


def unpack(words: np.ndarray, *, bits: int) -> np.ndarray:
    """Codes of packed words: little-endian bit fields, which for 3, 5 and 6 bits cross the words' borders."""
    as_bits = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")
    fields = as_bits.reshape(words.shape[0], -1, bits).astype(np.uint32)
    return (fields << np.arange(bits, dtype=np.uint32)).sum(axis=2, dtype=np.uint32)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
@pytest.mark.parametrize(
    ("bits", "group_size"), [(4, 64), (4, 32), (8, 64), (6, 64), (5, 64), (3, 64), (2, 32)]
)
def test_stored_numbers_equal_the_reference(tmp_path: Path, bits: int, group_size: int, dtype: str) -> None:
    source = write_source(tmp_path / "hf", dtype=getattr(mx, dtype))
    change_weights(source, hard_groups)
    stored = read_folder(convert(source, tmp_path / "out", bits=bits, group_size=group_size, dtype=dtype))
    for name, original in read_folder(source).items():
        if not name.startswith("language_model.") or original.floats().ndim != 2:
            continue
        path = name.removesuffix(".weight")
        codes, scales, biases = quantize_in_numpy(
            original.floats(), bits=bits, group_size=group_size, dtype=dtype
        )
        np.testing.assert_array_equal(unpack(stored[name].words(), bits=bits), codes, err_msg=name)
        np.testing.assert_array_equal(stored[f"{path}.scales"].floats(), scales, err_msg=name)
        np.testing.assert_array_equal(stored[f"{path}.biases"].floats(), biases, err_msg=name)


def hard_groups(tensors: dict[str, RawTensor]) -> None:
    """Rows that are all zero, all equal, all negative, tiny, huge, or full of ties."""
    head = tensors[HEAD]
    width = len(head.data) // head.shape[0]
    itemsize = width // head.shape[1]
    zero, negative = bytes(width), bytearray(head.data[:width])
    for last in range(itemsize - 1, width, itemsize):
        negative[last] |= 0x80
    steps = np.arange(head.shape[1], dtype=np.float32) % 16 / 2
    patterns = [zero, negative, encode(steps, head.dtype), encode(-steps, head.dtype)]
    for magnitude in (6e-8, 1e-4, 6e4):
        patterns.append(encode(np.full(head.shape[1], magnitude, np.float32), head.dtype))
    for row, pattern in enumerate(patterns):
        head.data[row * width : (row + 1) * width] = pattern


def encode(values: np.ndarray, dtype: str) -> bytes:
    if dtype == "BF16":
        return (round_to(values, "bfloat16").view(np.uint32) >> 16).astype(np.uint16).tobytes()
    return values.astype({"F16": np.float16, "F32": np.float32}[dtype]).tobytes()


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
@pytest.mark.parametrize(
    "value", [NAN, MINUS_NAN, INFINITY, MINUS_INFINITY], ids=["nan", "-nan", "inf", "-inf"]
)
@pytest.mark.parametrize(
    ("name", "element", "row"),
    [
        (HEAD, 0, 0),
        (HEAD, -1, 1123),
        ("vision_tower.patch_conv.weight", -1, 63),
        ("language_model.model.norm.weight", 5, 5),
    ],
)
def test_a_value_that_is_not_finite_is_named(
    tmp_path: Path, dtype: str, value: dict[str, bytes], name: str, element: int, row: int
) -> None:
    mlx_dtype = {"BF16": mx.bfloat16, "F16": mx.float16, "F32": mx.float32}[dtype]
    source = write_source(tmp_path / "hf", dtype=mlx_dtype)

    def spoil(tensors: dict[str, RawTensor]) -> None:
        bits = value[dtype]
        data = tensors[name].data
        start = element * len(bits) % len(data)
        data[start : start + len(bits)] = bits

    change_weights(source, spoil)
    with pytest.raises(ConversionError) as caught:
        convert(source, tmp_path / "out")
    for part in (name, "model-00001-of-00001.safetensors", f"row {row}"):
        assert part in caught.value.problem
    assert list(tmp_path.iterdir()) == [source], "nothing is left behind, because trying again can't help"


@pytest.mark.parametrize("bits", [4, 16])
def test_a_weight_beyond_float16_is_refused_instead_of_made_infinite(tmp_path: Path, bits: int) -> None:
    source = write_source(tmp_path / "hf")

    def enlarge(tensors: dict[str, RawTensor]) -> None:
        tensors[HEAD].data[128 * 7 : 128 * 7 + 2] = encode(np.array([70000.0], np.float32), "BF16")

    change_weights(source, enlarge)
    with pytest.raises(ConversionError, match=r"lm_head.*too large for F16, in row 7"):
        convert(source, tmp_path / "out", bits=bits, dtype="float16")
    convert(source, tmp_path / "bf16", bits=bits)


def test_the_largest_finite_values_pass(tmp_path: Path) -> None:
    source = write_source(tmp_path / "hf")

    def enlarge(tensors: dict[str, RawTensor]) -> None:
        tensors["language_model.model.norm.weight"].data[:4] = b"\x7f\x7f\x7f\xff"

    change_weights(source, enlarge)
    stored = read_folder(convert(source, tmp_path / "out"))["language_model.model.norm.weight"]
    assert stored.data[:4] == b"\x7f\x7f\x7f\xff"


@given(data=st.binary(min_size=4, max_size=400).filter(lambda data: len(data) % 4 == 0), share=st.booleans())
def test_mlx_computes_on_what_is_in_a_buffer(data: bytes, share: bool) -> None:
    buffer = Buffer(400, share=share)
    buffer.bytes[: len(data)] = data
    seen = buffer.rows("F32", (len(data) // 4,)).view(mx.uint8)
    assert bytes(memoryview(seen)) == data  # type: ignore[arg-type]  # the stubs lack the buffer protocol


def test_this_mlx_shares_the_memory_of_its_arrays() -> None:
    # without it conversion still works, but slower: an upgrade that changes this should not pass unseen
    buffer = Buffer(8)
    seen = buffer.rows("F32", (2,))
    mx.eval(seen)
    buffer.bytes[:] = np.array([1.5, -2.0], np.float32).tobytes()
    assert seen.tolist() == [1.5, -2.0]
