"""Numbers as people read them: bytes, speeds, bars and sparklines, on a given number of cells."""

from collections.abc import Sequence

_STEPS = " ▁▂▃▄▅▆▇█"
_PARTS = " ▏▎▍▌▋▊▉█"


def format_speed(tokens_per_second: float) -> str:
    """Tokens per second with three figures at most."""
    return f"{tokens_per_second:.0f}" if tokens_per_second >= 100 else f"{tokens_per_second:.1f}"


def format_seconds(seconds: float) -> str:
    """Write a duration: 0.42 s, 12.3 s, 3 min 05 s."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def format_tokens(count: int) -> str:
    """A count of tokens with its noun."""
    return f"{count:,} token{'' if count == 1 else 's'}"


def bar(share: float, width: int) -> str:
    """`share` (0 to 1) of `width` cells filled, in eighths of a cell."""
    eighths = round(min(1.0, max(0.0, share)) * width * 8)
    full, part = divmod(eighths, 8)
    return ("█" * full + (_PARTS[part] if part else "")).ljust(width)


def sparkline(samples: Sequence[float], width: int) -> str:
    """The last `width` samples as columns on a scale from 0 to the highest of them."""
    shown = list(samples)[-width:] if width > 0 else []
    highest = max(shown, default=0.0)
    if highest <= 0:
        return "".ljust(width)
    return "".join(_STEPS[max(1, round(sample / highest * 8))] for sample in shown).rjust(width)
