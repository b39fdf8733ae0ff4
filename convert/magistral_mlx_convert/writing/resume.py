"""What an interrupted run left: how much of it can be gone on with, and why not more."""

from collections.abc import Callable
from dataclasses import dataclass

from magistral_mlx_convert.planning.plan import Plan
from magistral_mlx_convert.writing import journal
from magistral_mlx_convert.writing.journal import JOURNAL_FILE, Progressed
from magistral_mlx_convert.writing.staging import Workplace


@dataclass(frozen=True)
class Earlier:
    """`progressed` is what the files bear out; `nbytes` what it holds of the output."""

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
    """Reads all that an unfinished conversion in `workplace` claims, and changes nothing.

    Args:
        fingerprint: of the job that is wanted now.
        tell: gets a line on everything that is not as the journal says, or that can't be used.
    """
    nothing = Earlier(Progressed(fingerprint=fingerprint, finished={}))
    if not workplace.model.exists():
        return nothing
    claimed = journal.load(workplace.partial)
    if claimed is None and not (workplace.partial / JOURNAL_FILE).exists():
        tell("An earlier run was stopped before its first weight was finished: nothing of it can be used")
        return nothing
    if claimed is None:
        tell(f"An unfinished conversion without a readable journal ({JOURNAL_FILE}) is discarded")
        return nothing
    if claimed.fingerprint != fingerprint:
        tell("An unfinished conversion of another source, recipe or version is discarded")
        return nothing
    borne_out, complaints = journal.trustworthy(workplace.model, plan, claimed)
    for complaint in complaints:
        tell(complaint)
    earlier = Earlier(borne_out)
    if not earlier.is_nothing:
        tell("Going on where an earlier run stopped")
    return earlier
