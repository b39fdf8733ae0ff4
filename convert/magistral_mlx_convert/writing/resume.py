"""Find the usable part of an interrupted run."""

from collections.abc import Callable
from dataclasses import dataclass

from magistral_mlx_convert.planning.plan import Plan
from magistral_mlx_convert.writing import journal
from magistral_mlx_convert.writing.journal import JOURNAL_FILE, Progressed
from magistral_mlx_convert.writing.staging import Workplace


@dataclass(frozen=True)
class Earlier:
    """Work of an earlier run that its files confirm; `nbytes` of the output."""

    progressed: Progressed

    @property
    def nbytes(self) -> int:
        mark = self.progressed.mark
        return sum(shard.nbytes for shard in self.progressed.finished.values()) + (mark.nbytes if mark else 0)

    @property
    def is_nothing(self) -> bool:
        return not self.progressed.finished and self.progressed.mark is None


def earlier_work(
    plan: Plan, workplace: Workplace, *, fingerprint: str, tell: Callable[[str], None]
) -> Earlier:
    """Check an unfinished conversion in `workplace`; change nothing.

    Args:
        fingerprint: of the job that is wanted now.
        tell: gets a line on each part that differs from the journal or can't be used.
    """
    nothing = Earlier(Progressed(fingerprint=fingerprint, finished={}))
    if not workplace.model.exists():
        return nothing
    claimed = journal.load(workplace.partial)
    if claimed is None and not (workplace.partial / JOURNAL_FILE).exists():
        tell("An earlier run was stopped before its first weight was finished: starting over")
        return nothing
    if claimed is None:
        tell(f"An unfinished conversion without a readable journal ({JOURNAL_FILE}) is discarded")
        return nothing
    if claimed.fingerprint != fingerprint:
        tell("An unfinished conversion of another source, recipe or version is discarded")
        return nothing
    confirmed, complaints = journal.confirmed_part(workplace.model, plan, claimed)
    for complaint in complaints:
        tell(complaint)
    earlier = Earlier(confirmed)
    if not earlier.is_nothing:
        tell("Continuing where an earlier run stopped")
    return earlier
