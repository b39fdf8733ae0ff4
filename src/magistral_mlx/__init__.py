"""Magistral Small on Apple silicon: reasoning and seeing, locally, on MLX.

Public names are imported on first use, so that `import magistral_mlx` (and `magistral --help`) stays fast
and a face that needs only events or errors never loads MLX.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from magistral_mlx.api.memory_plan import MemoryPlan, plan
    from magistral_mlx.api.model import (
        AnswerStream,
        AskOptions,
        AsyncAnswerStream,
        Conversation,
        Magistral,
        load,
    )
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
    from magistral_mlx.events import (
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
    from magistral_mlx.prompt.turns import AssistantTurn, ToolTurn, UserTurn

_HOME_OF = {
    "AnswerStream": "api.stream",
    "AnswerText": "events",
    "AskOptions": "api.options",
    "AssistantTurn": "prompt.turns",
    "AsyncAnswerStream": "api.async_stream",
    "CacheFileError": "errors",
    "CheckpointError": "errors",
    "ContextOverflow": "errors",
    "ContextSegments": "events",
    "Conversation": "api.conversation",
    "ConversionError": "errors",
    "DeviceError": "errors",
    "DeviceLostError": "errors",
    "Ending": "events",
    "EngineError": "errors",
    "Event": "events",
    "Finished": "events",
    "ImageError": "errors",
    "Magistral": "api.model",
    "MagistralError": "errors",
    "MemoryLimitError": "errors",
    "MemoryPlan": "api.memory_plan",
    "NetworkError": "errors",
    "Paused": "events",
    "PrefillProgress": "events",
    "PromptError": "errors",
    "ReasoningText": "events",
    "Reply": "events",
    "SessionError": "errors",
    "Stats": "events",
    "TokenLogprob": "events",
    "ToolCall": "events",
    "ToolTurn": "prompt.turns",
    "UsageError": "errors",
    "UserTurn": "prompt.turns",
    "load": "api.model",
    "plan": "api.memory_plan",
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
