"""The tree of errors, each with a problem and a remedy.

Every error that people may cause or mend is a `MagistralError`. Its text is one line that says what
happened and, after it, what to do next; faces print it as it stands and never a traceback.

    MagistralError
    ├── UsageError            contradictory or impossible arguments of a call or a command
    ├── CheckpointError       a folder that is not a usable checkpoint (missing, truncated, contradictory)
    ├── ConversionError       a source that cannot be converted, or a target that cannot be written
    ├── NetworkError          a hub or an image URL that did not answer
    ├── PromptError           a question that cannot be put to the model (empty, wrong roles)
    │   ├── ImageError        an image that cannot be read or used
    │   └── ContextOverflow   more tokens than the model or the memory takes
    ├── MemoryLimitError      a model or a prompt that does not fit this machine
    ├── DeviceError           the GPU or its driver gave the work up
    │   └── DeviceLostError   and takes no more from this process
    ├── EngineError           the engine process died, hung or could not start
    ├── SessionError          a kept conversation that is not there, in use elsewhere, or cannot be written
    └── CacheFileError        a saved KV cache that is damaged or another model's, or cannot be written
"""


class MagistralError(Exception):
    """Base of all errors with a remedy.

    Args:
        problem: what happened, naming the file, tensor, flag or number concerned.
        remedy: what to do next, as an imperative sentence.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem.rstrip('.')}. {remedy}".strip() if remedy else problem)

    def __reduce__(self) -> tuple[type["MagistralError"], tuple[str, str]]:
        """Both parts survive pickling, so that an error can cross a process boundary."""
        return type(self), (self.problem, self.remedy)


class UsageError(MagistralError):
    """Contradictory or impossible arguments; commands exit with 2 on it."""


class CheckpointError(MagistralError):
    """A folder is not a usable checkpoint."""


class ConversionError(MagistralError):
    """A source cannot be converted or a target cannot be written."""


class NetworkError(MagistralError):
    """A hub or an image URL did not answer as it should."""


class PromptError(MagistralError):
    """A question or an option is invalid."""


class ImageError(PromptError):
    """An image cannot be read or used."""


class ContextOverflow(PromptError):  # noqa: N818 - the field says "context overflow"
    """The prompt is longer than the model's context or the planned one."""


class MemoryLimitError(MagistralError):
    """A model or a prompt does not fit this machine."""


class DeviceError(MagistralError):
    """The GPU or its driver gave up the work; the model stays loaded."""


class DeviceLostError(DeviceError):
    """The GPU takes no more work from this process; a new process is needed."""


class EngineError(MagistralError):
    """The engine process died, hung or could not be started."""


class SessionError(MagistralError):
    """A saved conversation does not exist, is in use elsewhere, or cannot be written."""


class CacheFileError(MagistralError):
    """A saved KV cache that is damaged, of another version or of another model, or that cannot be written."""
