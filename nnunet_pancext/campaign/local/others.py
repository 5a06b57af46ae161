"""Other processes at work on a campaign: other runs, and steps that this run has not started."""

import time
from pathlib import Path

from nnunet_pancext.campaign.lease import Owner, current_owner
from nnunet_pancext.campaign.local.log_follower import LogFollower
from nnunet_pancext.campaign.record import log_file, read_record, runs_folder
from nnunet_pancext.campaign.step import Step

# Between checks of a step that another process runs; on another machine, only the disk shows that it lives.
HERE_S, AWAY_S = 1.0, 15.0
CPU = "CPU"  # the slot of steps without a GPU


def living_runs(folder: Path, *, forget_others: bool = False) -> list[Path]:
    """Return the leases of the runs at work, on any machine; those of killed runs may be removed."""
    leases = list(runs_folder(folder).glob("[!.]*.lease"))
    living = [path for path in leases if current_owner(path)]
    if forget_others:
        for path in set(leases).difference(living):
            path.unlink(missing_ok=True)
    return living


class Elsewhere:
    """A step that another process runs.

    With `is_left_over` the run that started it was killed, so that no other run counts its slot.

    Attributes:
        last: the step's latest attempt when this was seen.
        slot: the GPU that it has, or CPU, where nothing may be started beside it; None where it may.
        look_at: when to look again, in seconds of the monotonic clock.
    """

    def __init__(self, folder: Path, step: Step, *, is_left_over: bool) -> None:
        self.step, self.is_left_over = step, is_left_over
        self.follower = LogFollower(log_file(folder, step.name), step.progress())
        self.last = read_record(folder, step.name).last
        self.slot: str | None = None
        self.look_at = 0.0

    def look(self, owner: Owner) -> None:
        """Note where the step runs."""
        self.look_at = time.monotonic() + (HERE_S if owner.is_here else AWAY_S)
        if owner.is_here:
            own_place = "" if self.step.uses_gpu else CPU
            self.slot = owner.gpu or (own_place if self.is_left_over else None)
