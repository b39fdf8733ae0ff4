"""What the exports say in the same words: dates, figures, endings."""

import math
from datetime import datetime

from magistral_mlx.events import Ending
from magistral_mlx.sessions.records import KeptImage
from magistral_mlx.sessions.tree import Turn

_ENDINGS = {
    None: "Broken off.",
    Ending.CUT_IN_REASONING: "Cut off while reasoning: there is no answer.",
    Ending.CUT_IN_ANSWER: "The answer is cut off.",
    Ending.STOPPED: "Stopped by the user.",
    Ending.LOOP: "Stopped because it repeated itself.",
    Ending.OUT_OF_MEMORY: "Stopped because the memory ran out.",
    Ending.TOOL_CALLS: "It asked for a tool.",
}


def day(seconds: float) -> str:
    """Date and time of day, in this machine's time zone."""
    try:
        return datetime.fromtimestamp(seconds if math.isfinite(seconds) else 0).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, ValueError, OSError):  # a damaged file may say anything
        return "?"


def ending_words(turn: Turn) -> str:
    """How the turn ended, unless it just ended well."""
    return _ENDINGS.get(turn.ending, "")


def thought_figures(turn: Turn) -> str:
    """How long the thought is."""
    seconds = f", {turn.thinking_seconds:.0f} s" if turn.thinking_seconds >= 1 else ""
    return f"{turn.reasoning_tokens:,} tokens{seconds}"


def image_words(image: KeptImage) -> str:
    """Name and size of an image."""
    size = f", {image.width}×{image.height}" if image.width and image.height else ""
    return f"{image.name}{size}"
