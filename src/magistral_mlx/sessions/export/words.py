"""Words that all exports share: dates, figures, endings."""

import math
from datetime import datetime

from magistral_mlx.engine.endings import describe_ending
from magistral_mlx.events import Ending
from magistral_mlx.sessions.records import KeptImage
from magistral_mlx.sessions.tree import Turn


def day(seconds: float) -> str:
    """Return date and time, in this machine's time zone."""
    try:
        return datetime.fromtimestamp(seconds if math.isfinite(seconds) else 0).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, ValueError, OSError):  # a damaged file may hold any number
        return "?"


def ending_words(turn: Turn) -> str:
    """Return the ending of the turn; nothing for a complete one."""
    return "" if turn.ending is Ending.COMPLETE else describe_ending(turn.ending)


def thought_figures(turn: Turn) -> str:
    """Return the length of the reasoning."""
    seconds = f", {turn.thinking_seconds:.0f} s" if turn.thinking_seconds >= 1 else ""
    return f"{turn.reasoning_tokens:,} tokens{seconds}"


def image_words(image: KeptImage) -> str:
    """Return name and size of an image."""
    size = f", {image.width}×{image.height}" if image.width and image.height else ""
    return f"{image.name}{size}"
