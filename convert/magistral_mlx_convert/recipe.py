"""How each parameter is stored: named recipes, each one predicate with its reasons.

The default quantizes every matrix of the text model, embedding and head included, to 4 bits in groups of 64.
"""

from collections.abc import Callable
from dataclasses import dataclass

from magistral_mlx.errors import UsageError
from magistral_mlx.model_config import DTYPES, QUANTIZATION_MODES, Quantization
from magistral_mlx_convert.mapping import Parameter

UNQUANTIZED_BITS = 16
"""`bits` that means: keep all weights, in the wanted dtype."""

Predicate = Callable[[Parameter], Quantization | None]
"""Parameter -> its packing, or None where it stays in the recipe's dtype."""


@dataclass(frozen=True)
class Recipe:
    """`whole` is the packing that config.json names first; None means that nothing is quantized."""

    name: str
    dtype: str
    whole: Quantization | None
    packing_of: Predicate


UNIFORM: dict[str, Quantization] = {
    "4bit": Quantization(bits=4, group_size=64, mode="affine"),
    "4bit-g32": Quantization(bits=4, group_size=32, mode="affine"),
    "8bit": Quantization(bits=8, group_size=64, mode="affine"),
    "6bit": Quantization(bits=6, group_size=64, mode="affine"),
    "5bit": Quantization(bits=5, group_size=64, mode="affine"),
    "3bit": Quantization(bits=3, group_size=64, mode="affine"),
    "mxfp4": Quantization(bits=4, group_size=32, mode="mxfp4"),
    "mxfp8": Quantization(bits=8, group_size=32, mode="mxfp8"),
    "nvfp4": Quantization(bits=4, group_size=16, mode="nvfp4"),
}
"""Recipes with one packing for the whole text model."""


def text_matrices(packing: Quantization) -> Predicate:
    """Quantizes every matrix of the text model to `packing`."""

    def packing_of(parameter: Parameter) -> Quantization | None:
        if len(parameter.shape) != 2:
            return None  # norms and the patch convolution: no packed kernel, and 0.01 % of the bytes
        if not parameter.name.startswith("language_model."):
            return None  # tower and projector: 0.63 GB saved would blur every picture
        return packing  # lm_head too: in bf16 it costs 7 % of decode speed and 0.97 GB

    return packing_of


def _nothing(_: Parameter) -> Quantization | None:
    return None


def choose_recipe(
    name: str | None = None,
    *,
    bits: int | None = None,
    group_size: int | None = None,
    mode: str | None = None,
    dtype: str = "bfloat16",
) -> Recipe:
    """The recipe that a name or numbers ask for; without both, `4bit`.

    Args:
        name: a key of `UNIFORM`; then no number may be given.
        bits: 2, 3, 4, 5, 6 or 8, as the mode allows; 16 keeps the weights unquantized.
        group_size: weights that share one scale; without it, 64 or what the mode fixes.
        mode: `affine` (default), `mxfp4`, `mxfp8` or `nvfp4`.
        dtype: of everything that is not quantized, and of scales and biases.

    Raises:
        UsageError: the arguments contradict each other or ask for what the kernels lack.
    """
    if dtype not in DTYPES:
        raise UsageError(f"dtype {dtype!r} is not known", f"Use one of {', '.join(DTYPES)}.")
    if name is not None:
        if (bits, group_size, mode) != (None, None, None):
            raise UsageError(
                f"recipe {name!r} already fixes bits, group size and mode", "Give one or the other."
            )
        if name not in UNIFORM:
            raise UsageError(f"recipe {name!r} is not known", f"Use one of {', '.join(UNIFORM)}.")
        return Recipe(name=name, dtype=dtype, whole=UNIFORM[name], packing_of=text_matrices(UNIFORM[name]))
    if bits == UNQUANTIZED_BITS:
        if group_size is not None or mode is not None:
            raise UsageError(
                "16 bits are not quantized, so that they have no group size or mode", "Leave them out."
            )
        return Recipe(name=dtype, dtype=dtype, whole=None, packing_of=_nothing)
    packing = _packing(bits, group_size, mode or "affine")
    named = next((known for known, value in UNIFORM.items() if value == packing), None)
    name = named or f"{packing.bits}bit-g{packing.group_size}"
    return Recipe(name=name, dtype=dtype, whole=packing, packing_of=text_matrices(packing))


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
