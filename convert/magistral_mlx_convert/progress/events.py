"""What a running conversion tells its caller."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Stage(StrEnum):
    """What is being done."""

    PREFLIGHT = "preflight"
    DOWNLOAD = "download"
    CONVERT = "convert"
    CALIBRATE = "calibrate"
    """Running the model on the calibration text; counted in layers, as `tensors_done` of `tensors_total`."""
    COMPARE = "compare"
    """For a report; counted in steps, as `tensors_done` of `tensors_total`."""
    PUBLISH = "publish"


@dataclass(frozen=True)
class Progress:
    """A moment of a conversion; bytes are those of the source."""

    stage: Stage
    bytes_done: int = 0
    bytes_total: int = 0
    tensors_done: int = 0
    tensors_total: int = 0
    bytes_kept: int = 0
    """Of `bytes_done`, what an interrupted earlier run had done: speed is to be reckoned without it."""
    bytes_fetched: int = 0
    """Of a source that arrives meanwhile, what has been fetched by this run ..."""
    bytes_to_fetch: int = 0
    """... of so much; 0 where nothing is fetched."""
    facts: Mapping[str, object] = field(default_factory=dict[str, object])
    """Of the preflight, for programs; the same for people comes as notes."""
    note: str = ""
    """Something that deserves a line of its own; empty on most events."""
