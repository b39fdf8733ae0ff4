"""Events of a running conversion."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Stage(StrEnum):
    """Stage of a conversion."""

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
    """Part of `bytes_done` that an interrupted earlier run had converted; it does not count for the speed."""
    bytes_fetched: int = 0
    """Bytes that this run has fetched of a source that arrives meanwhile."""
    bytes_to_fetch: int = 0
    """Bytes that this run fetches in all; 0 for a local source."""
    facts: Mapping[str, object] = field(default_factory=dict[str, object])
    """Figures of the preflight, for programs; people get the same as notes."""
    note: str = ""
    """A message that gets a line of its own; empty on most events."""
