"""How each parameter is stored: named recipes, and what numbers on a command line amount to.

The default quantizes every matrix of the text model, embedding and head included, to 4 bits in groups of 64.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from magistral_mlx.checkpoint.config import DTYPES, QUANTIZATION_MODES, Quantization
from magistral_mlx.errors import UsageError
from magistral_mlx_convert.planning.packing_rules import (
    Rule,
    every_text_matrix,
    keep_everything,
    with_vision,
)

UNQUANTIZED_BITS = 16
"""`bits` that means: keep all weights, in the wanted dtype."""


@dataclass(frozen=True)
class Recipe:
    """`whole` is the packing that config.json names first; None means that nothing is quantized."""

    name: str
    dtype: str
    whole: Quantization | None
    packing_of: Rule
    keeps_codes: bool = False
    """The codes of a GGUF file are taken over where their blocks fit."""
    calibrated: bool = False
    """Codes, scales and biases are chosen by what the matrices read; see `quantize`."""
    limit: int | None = None
    """Bytes that the whole folder may take: bits are then chosen by `fitting.py`, once there are weights."""


def _affine(bits: int, group_size: int = 64) -> Quantization:
    return Quantization(bits=bits, group_size=group_size, mode="affine")


UNIFORM: Mapping[str, Quantization] = {
    "4bit": _affine(4),
    "4bit-g32": _affine(4, 32),
    "8bit": _affine(8),
    "6bit": _affine(6),
    "5bit": _affine(5),
    "3bit": _affine(3),
    "mxfp4": Quantization(bits=4, group_size=32, mode="mxfp4"),
    "mxfp8": Quantization(bits=8, group_size=32, mode="mxfp8"),
    "nvfp4": Quantization(bits=4, group_size=16, mode="nvfp4"),
}
"""Recipes with one packing for the whole text model."""

RETIRED: Mapping[str, str] = {"mixed-4-6": "calibrated-4bit-g32", "mixed-4-8": "calibrated-5bit"}
"""Recipes that lost to plain `5bit` on trained weights, and what to take at their size."""

CALIBRATED: Mapping[str, Quantization] = {
    "calibrated-4bit": _affine(4),
    "calibrated-4bit-g32": _affine(4, 32),
    "calibrated-3bit": _affine(3),
    "calibrated-3bit-g32": _affine(3, 32),
    "calibrated-5bit": _affine(5),
    "calibrated-5bit-g32": _affine(5, 32),
}
"""Recipes with one packing for the whole text model, and codes that fit what its matrices read."""

NAMES: tuple[str, ...] = (*UNIFORM, *CALIBRATED)


def choose_recipe(
    name: str | None = None,
    *,
    bits: int | None = None,
    group_size: int | None = None,
    mode: str | None = None,
    dtype: str = "bfloat16",
    vision_bits: int | None = None,
) -> Recipe:
    """The recipe that a name or numbers ask for; without both, `4bit`.

    Args:
        name: one of `NAMES`, or `fit:` and a size in GB; then no number may be given.
        bits: 2, 3, 4, 5, 6 or 8, as the mode allows; 16 keeps the weights unquantized.
        group_size: weights that share one scale; without it, 64 or what the mode fixes.
        mode: `affine` (default), `mxfp4`, `mxfp8` or `nvfp4`.
        dtype: of everything that is not quantized, and of scales and biases.
        vision_bits: affine bits, in groups of 64, of the vision tower and the projector, which are kept
            without it.

    Raises:
        UsageError: the arguments contradict each other or ask for what the kernels lack.
    """
    if dtype not in DTYPES:
        raise UsageError(f"dtype {dtype!r} is not known", f"Use one of {', '.join(DTYPES)}.")
    text = _text_recipe(name, bits=bits, group_size=group_size, mode=mode, dtype=dtype)
    if vision_bits in (None, UNQUANTIZED_BITS):
        return text
    if text.whole is None:
        raise UsageError("16 bits keep the vision tower too", "Leave --vision-bits out.")
    packing = _packing(vision_bits, None, "affine")
    return replace(
        text,
        name=f"{text.name}-vision{packing.bits}",
        packing_of=with_vision(text.packing_of, packing),
    )


def _text_recipe(
    name: str | None, *, bits: int | None, group_size: int | None, mode: str | None, dtype: str
) -> Recipe:
    if name is not None:
        if (bits, group_size, mode) != (None, None, None):
            raise UsageError(
                f"recipe {name!r} already fixes bits, group size and mode", "Give one or the other."
            )
        return _named(name, dtype)
    if bits == UNQUANTIZED_BITS:
        if group_size is not None or mode is not None:
            raise UsageError(
                "16 bits are not quantized, so that they have no group size or mode", "Leave them out."
            )
        return Recipe(name=dtype, dtype=dtype, whole=None, packing_of=keep_everything)
    packing = _packing(bits, group_size, mode or "affine")
    named = next((known for known, value in UNIFORM.items() if value == packing), None)
    name = named or f"{packing.bits}bit-g{packing.group_size}"
    return Recipe(name=name, dtype=dtype, whole=packing, packing_of=every_text_matrix(packing))


def _named(name: str, dtype: str) -> Recipe:
    if name.startswith(_FIT):
        return _fit(name.removeprefix(_FIT), dtype)
    if name in UNIFORM:
        packing = UNIFORM[name]
        return Recipe(name=name, dtype=dtype, whole=packing, packing_of=every_text_matrix(packing))
    if name in CALIBRATED:
        packing = CALIBRATED[name]
        rule = every_text_matrix(packing)
        return Recipe(name=name, dtype=dtype, whole=packing, packing_of=rule, calibrated=True)
    if name in RETIRED:
        raise UsageError(
            f"recipe {name!r} is retired: plain 5 bits lose less at its size", f"Use {RETIRED[name]}."
        )
    raise UsageError(f"recipe {name!r} is not known", f"Use one of {', '.join(NAMES)}, fit:GB.")


_FIT = "fit:"
_SIZE = re.compile(r"\d{1,4}(?:\.\d{1,9})?")


def _fit(size: str, dtype: str) -> Recipe:
    """3 bits everywhere, to begin with."""
    if not _SIZE.fullmatch(size) or not float(size):
        raise UsageError(f"{size!r} is no size in GB", "Give one such as fit:12.5 (in units of 1e9 bytes).")
    least = UNIFORM["3bit"]
    return Recipe(
        name=f"fit-{size}GB",
        dtype=dtype,
        whole=least,
        packing_of=every_text_matrix(least),
        limit=round(float(size) * 1e9),
    )


def _packing(bits: int | None, group_size: int | None, mode: str) -> Quantization:
    if mode not in QUANTIZATION_MODES:
        raise UsageError(f"mode {mode!r} is not known", f"Use one of {', '.join(QUANTIZATION_MODES)}.")
    widths, sizes = QUANTIZATION_MODES[mode]
    # The first recipe of a mode has its usual numbers.
    usual = next(packing for packing in UNIFORM.values() if packing.mode == mode)
    chosen = Quantization(bits=bits or usual.bits, group_size=group_size or usual.group_size, mode=mode)
    if (bits is not None and bits not in widths) or chosen.bits not in widths:
        also = f" or {UNQUANTIZED_BITS} (unquantized)" if mode == "affine" else ""
        raise UsageError(f"{mode} has no {bits} bits", f"Use {_any_of(widths)}{also}.")
    if (group_size is not None and group_size not in sizes) or chosen.group_size not in sizes:
        raise UsageError(f"{mode} has no groups of {group_size}", f"Use {_any_of(sizes)}.")
    return chosen


def _any_of(numbers: tuple[int, ...]) -> str:
    return " or ".join(", ".join(map(str, numbers)).rsplit(", ", 1))
