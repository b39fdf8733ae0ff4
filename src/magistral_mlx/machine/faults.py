"""Recognise GPU and driver faults by their messages, and explain them.

MLX raises plain RuntimeErrors with the text of Metal (`kIOGPUCommandBufferCallbackError...`) or of the C++
library; nothing but the words tells them apart. Sources: ml-explore/mlx issues 3186, 3224 and 3267, and
jundot/omlx issues 2029 and 3706.
"""

from dataclasses import dataclass
from enum import StrEnum

from magistral_mlx.errors import DeviceError, DeviceLostError


class FaultKind(StrEnum):
    """What happened on the GPU."""

    OUT_OF_MEMORY = "out_of_memory"
    WATCHDOG = "watchdog"
    """macOS ended work that kept the display waiting."""
    TIMEOUT = "timeout"
    """The GPU took too long or hung."""
    REFUSED = "refused"
    """After earlier faults the driver takes nothing more from this process."""
    BAD_ADDRESS = "bad_address"
    VICTIM = "victim"
    """Another program made the GPU reset."""
    OTHER = "other"
    """A command buffer failed for a reason that is not known here."""


@dataclass(frozen=True)
class Fault:
    """A recognised fault."""

    kind: FaultKind
    problem: str
    remedy: str
    smaller_step_helps: bool = False
    """The same work in smaller pieces may succeed."""
    process_lost: bool = False
    """Only a new process can use the GPU again."""

    def error(self) -> DeviceError:
        """Return the exception that people see."""
        return (DeviceLostError if self.process_lost else DeviceError)(self.problem, self.remedy)


_MEMORY = Fault(
    FaultKind.OUT_OF_MEMORY,
    "The memory ran out",
    "Close other programs, use fewer or smaller images or a shorter conversation, or an 8-bit KV cache.",
    smaller_step_helps=True,
)
_WATCHDOG = Fault(
    FaultKind.WATCHDOG,
    'macOS ended the work on the GPU because it held up the display ("Impacting Interactivity")',
    "Ask again; close what else draws on the GPU, or let the display sleep during long questions.",
    smaller_step_helps=True,
)
_TIMEOUT = Fault(
    FaultKind.TIMEOUT,
    "The GPU took too long over one piece of work, and macOS ended it",
    "Ask again; if it happens again, close what else uses the GPU and start the program anew.",
    smaller_step_helps=True,
)
_REFUSED = Fault(
    FaultKind.REFUSED,
    'After earlier faults the GPU\'s driver takes no more work from this process ("SubmissionsIgnored")',
    "Start the engine (or your program) again; the model has to be loaded anew.",
    process_lost=True,
)
_BAD_ADDRESS = Fault(
    FaultKind.BAD_ADDRESS,
    "The GPU was given a wrong address and stopped",
    "Start the engine (or your program) again; if it happens again, report it with the log.",
    process_lost=True,
)
_VICTIM = Fault(
    FaultKind.VICTIM,
    "Another program made the GPU start over, and the work on it was lost",
    "Ask again.",
    smaller_step_helps=True,
)
_OTHER = Fault(
    FaultKind.OTHER,
    "The GPU gave up the work",
    "Ask again; if it happens again, start the engine (or your program) anew and report it with the log.",
)

_WORDS: tuple[tuple[str, Fault], ...] = (
    # The driver's refusal comes first: its text can quote the fault that caused it.
    ("submissionsignored", _REFUSED),
    ("excessive gpu errors", _REFUSED),
    ("impacting interactivity", _WATCHDOG),
    ("impactinginteractivity", _WATCHDOG),
    ("unable to allocate", _MEMORY),  # [malloc] and [metal::malloc]
    ("attempting to allocate", _MEMORY),  # [metal::malloc]: larger than the largest buffer
    ("insufficient memory", _MEMORY),  # Metal: a command buffer that could not get its memory
    ("out of memory", _MEMORY),  # CUDA, and Metal in words
    ("outofmemory", _MEMORY),  # kIOGPUCommandBufferCallbackErrorOutOfMemory
    ("bad_alloc", _MEMORY),
    ("gpu timeout", _TIMEOUT),
    ("callbackerrortimeout", _TIMEOUT),
    ("gpu hang", _TIMEOUT),
    ("callbackerrorhang", _TIMEOUT),
    ("address fault", _BAD_ADDRESS),
    ("pagefault", _BAD_ADDRESS),
    ("innocent victim", _VICTIM),
    ("innocentvictim", _VICTIM),
    ("victim of gpu error", _VICTIM),
    ("command buffer execution failed", _OTHER),
    ("callbackerror", _OTHER),
)


def recognise(error: BaseException) -> Fault | None:
    """Return the fault that an MLX error describes, or None."""
    if isinstance(error, MemoryError):
        return _MEMORY
    if not isinstance(error, RuntimeError):
        return None
    text = str(error).lower()
    return next((fault for words, fault in _WORDS if words in text), None)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an MLX error says that memory ran out."""
    fault = recognise(error)
    return fault is not None and fault.kind is FaultKind.OUT_OF_MEMORY
