"""Magistral Small on Apple silicon: reasoning and seeing, locally, on MLX.

Public names are imported on first use, so that `import magistral_mlx` (and `magistral --help`) stays fast
and a face that needs only events or errors never loads MLX.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from magistral_mlx.errors import (
        CacheFileError,
        CheckpointError,
        ContextOverflow,
        ConversionError,
        DeviceError,
        DeviceLostError,
        EngineError,
        ImageError,
        MagistralError,
        MemoryLimitError,
        NetworkError,
        PromptError,
        SessionError,
        UsageError,
    )
    from magistral_mlx.generation.events import (
        AnswerText,
        ContextSegments,
        Ending,
        Event,
        Finished,
        Paused,
        PrefillProgress,
        ReasoningText,
        Reply,
        Stats,
        TokenLogprob,
        ToolCall,
    )
    from magistral_mlx.planning import MemoryPlan, plan
    from magistral_mlx.prompt.chat import AssistantTurn, ToolTurn, UserTurn
    from magistral_mlx.runtime import (
        AnswerStream,
        AskOptions,
        AsyncAnswerStream,
        Conversation,
        Magistral,
        load,
    )

_HOME_OF = {
    "AnswerStream": "runtime",
    "AnswerText": "generation.events",
    "AskOptions": "runtime",
    "AssistantTurn": "prompt.chat",
    "AsyncAnswerStream": "runtime",
    "CacheFileError": "errors",
    "CheckpointError": "errors",
    "ContextOverflow": "errors",
    "ContextSegments": "generation.events",
    "Conversation": "runtime",
    "ConversionError": "errors",
    "DeviceError": "errors",
    "DeviceLostError": "errors",
    "Ending": "generation.events",
    "EngineError": "errors",
    "Event": "generation.events",
    "Finished": "generation.events",
    "ImageError": "errors",
    "Magistral": "runtime",
    "MagistralError": "errors",
    "MemoryLimitError": "errors",
    "MemoryPlan": "planning",
    "NetworkError": "errors",
    "Paused": "generation.events",
    "PrefillProgress": "generation.events",
    "PromptError": "errors",
    "ReasoningText": "generation.events",
    "Reply": "generation.events",
    "SessionError": "errors",
    "Stats": "generation.events",
    "TokenLogprob": "generation.events",
    "ToolCall": "generation.events",
    "ToolTurn": "prompt.chat",
    "UsageError": "errors",
    "UserTurn": "prompt.chat",
    "load": "runtime",
    "plan": "planning",
}

__all__ = [
    "AnswerStream",
    "AnswerText",
    "AskOptions",
    "AssistantTurn",
    "AsyncAnswerStream",
    "CacheFileError",
    "CheckpointError",
    "ContextOverflow",
    "ContextSegments",
    "Conversation",
    "ConversionError",
    "DeviceError",
    "DeviceLostError",
    "Ending",
    "EngineError",
    "Event",
    "Finished",
    "ImageError",
    "Magistral",
    "MagistralError",
    "MemoryLimitError",
    "MemoryPlan",
    "NetworkError",
    "Paused",
    "PrefillProgress",
    "PromptError",
    "ReasoningText",
    "Reply",
    "SessionError",
    "Stats",
    "TokenLogprob",
    "ToolCall",
    "ToolTurn",
    "UsageError",
    "UserTurn",
    "load",
    "plan",
]


def __getattr__(name: str) -> object:
    if name in _HOME_OF:
        value = getattr(import_module(f"magistral_mlx.{_HOME_OF[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
