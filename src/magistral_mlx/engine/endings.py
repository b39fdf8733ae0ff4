"""Endings of replies in one sentence each. User interfaces add their own remedy."""

from magistral_mlx.events import Ending

_SENTENCES = {
    None: "Interrupted.",
    Ending.COMPLETE: "Complete.",
    Ending.CUT_IN_REASONING: "Cut off while reasoning: there is no answer.",
    Ending.CUT_IN_ANSWER: "The answer is cut off.",
    Ending.STOPPED: "Stopped by the user.",
    Ending.LOOP: "Stopped because it repeated itself.",
    Ending.OUT_OF_MEMORY: "Stopped because memory ran out.",
    Ending.TOOL_CALLS: "The model asked for a tool.",
}


def describe_ending(ending: Ending | None) -> str:
    """Return one sentence; None stands for a reply that was interrupted and has no ending."""
    return _SENTENCES[ending]
