"""How a reply ended, in words for people."""

from magistral_mlx.events import Ending

_CUT = {
    Ending.CUT_IN_REASONING: "Hit the token limit while thinking; no answer yet.",
    Ending.CUT_IN_ANSWER: "Hit the token limit in the answer.",
    Ending.STOPPED: "Stopped. Everything so far is kept.",
    Ending.LOOP: "Stopped because it repeated itself.",
}
CAN_CONTINUE = frozenset(_CUT)
"""Endings after which the same reply can be continued."""


def ending_words(ending: Ending | None, *, produced: bool, continuing: str) -> str:
    """Say why a reply ended; empty if it is complete.

    Args:
        ending: None: it was interrupted.
        produced: whether anything was generated.
        continuing: how people continue a reply, such as "F12 continues".
    """
    if ending is None:
        again = f"{continuing}, /again retries." if produced else "/again retries."
        return f"Interrupted. Everything so far is kept. {again}"
    if ending is Ending.LOOP:
        return f"{_CUT[ending]} /again retries."
    if ending is Ending.OUT_OF_MEMORY:
        return "Out of memory. Everything so far is kept. /new starts a new conversation."
    if ending is Ending.TOOL_CALLS:
        return "The model asked for a tool; there is none here."
    return f"{_CUT[ending]} {continuing}." if ending in _CUT else ""
