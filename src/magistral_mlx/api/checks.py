"""Check arguments of the public API; each raises UsageError with a remedy."""

import math

from magistral_mlx.errors import UsageError


def check_system(system: object) -> None:
    """Raise UsageError unless `system` is a string or None."""
    if system is not None and not isinstance(system, str):
        raise UsageError(f"system is of type {type(system).__name__}", "Give a string, or None.")


def check_kv_bits(kv_bits: object) -> None:
    """Raise UsageError unless `kv_bits` is a width of a KV cache, or None."""
    if kv_bits is not None and (isinstance(kv_bits, bool) or kv_bits not in (16, 8, 4)):
        raise UsageError(f"kv_bits is {kv_bits!r}", "Give 16, 8 or 4, or None.")


def check_callback(name: str, callback: object) -> None:
    """Raise UsageError unless `callback` is callable or None."""
    if callback is not None and not callable(callback):
        raise UsageError(f"{name} is of type {type(callback).__name__}", "Give a function, or None.")


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def check_whole(name: str, value: object, *, least: int | None) -> None:
    """Check for a whole number of at least `least`, or None.

    Raises:
        UsageError: names the option.
    """
    if value is None:
        return
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or (least is not None and value < least):  # type: ignore[operator]  # an int when `whole`
        needed = "a whole number" if least is None else f"a whole number, {least} or more"
        raise UsageError(f"{name} is {value!r}", f"Give {needed}, or None.")
