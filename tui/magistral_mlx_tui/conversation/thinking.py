"""How much a question may be thought about: words for it, and what people type."""

import re
from dataclasses import replace

from magistral_mlx.sessions.records import Options

_NUMBER = re.compile(r"\d{1,7}")


def parse_thinking(wish: str, options: Options) -> Options | None:
    """`options` with the thinking that `wish` asks for: on, off, tokens, or nothing for the other way.

    None: `wish` is none of these.
    """
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
    """What the next questions get."""
    if not options.thinking:
        return "Thinking is off for the next questions; /thinking on switches it on."
    if options.thinking_budget is not None:
        return f"The next questions are thought about for at most {options.thinking_budget:,} tokens."
    return "Thinking is on, as long as it takes."


def thinking_label(options: Options) -> str:
    """The same in a word or two where it is not what one expects; else empty."""
    if not options.thinking:
        return "thinking off"
    return "" if options.thinking_budget is None else f"thinks ≤ {options.thinking_budget:,} tokens"
