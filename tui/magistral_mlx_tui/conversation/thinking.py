"""Parse and describe the thinking option."""

import re
from dataclasses import replace

from magistral_mlx.storage.messages import Options

_NUMBER = re.compile(r"\d{1,7}")


def parse_thinking(wish: str, options: Options) -> Options | None:
    """Apply `wish` to `options`: on, off, a token limit, or empty to toggle; None if it is none of these."""
    match wish.strip().lower():
        case "":
            return replace(options, thinking=not options.thinking, thinking_budget=None)
        case "on":
            return replace(options, thinking=True, thinking_budget=None)
        case "off":
            return replace(options, thinking=False, thinking_budget=None)
        case number if _NUMBER.fullmatch(number):
            return replace(options, thinking=True, thinking_budget=int(number))
        case _:
            return None


def thinking_words(options: Options) -> str:
    """Say how the next questions are asked."""
    if not options.thinking:
        return "Thinking off · /thinking on turns it on"
    if options.thinking_budget is not None:
        return f"Thinking on, limit {options.thinking_budget:,} tokens"
    return "Thinking on, no limit"


def thinking_label(options: Options) -> str:
    """Say it in a few words where it differs from the default; else empty."""
    if not options.thinking:
        return "thinking off"
    return "" if options.thinking_budget is None else f"thinking limit {options.thinking_budget:,}"
