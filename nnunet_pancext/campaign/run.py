"""Runs a campaign on this machine or on Slurm: first finds what must be done again, then does the steps."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from nnunet_pancext.campaign.changes import describe_changes, find_changes, redo, version_remarks
from nnunet_pancext.campaign.control import forget_requests
from nnunet_pancext.campaign.definition import open_campaign
from nnunet_pancext.campaign.local.run import run_local
from nnunet_pancext.errors import PancextError


def run_campaign(
    folder: Path,
    *,
    gpus: int | None = None,
    slurm: Any = None,
    do_again: bool = False,
    only: Collection[str] | None = None,
) -> int:
    """Do every step that is not done, and return the exit code.

    Args:
        folder: the campaign's.
        gpus: how many GPUs of this machine to use; all if None.
        slurm: `SlurmOptions`, to submit the steps instead.
        do_again: set aside what was made with other options than campaign.toml has now, and make it again.
        only: names of steps; these and what they need are done, on this machine.

    Raises:
        PancextError: something must be done again without `do_again`, or the campaign cannot be run.
    """
    folder = folder.absolute()
    campaign = open_campaign(folder)
    if changes := find_changes(campaign, folder):
        text = describe_changes(changes)
        if not do_again:
            raise PancextError(
                f"{text}\nDo this again with --redo, which sets the former results aside and deletes "
                "nothing, or change campaign.toml back."
            )
        print(f"{text}\nSet aside, and done again: {', '.join(redo(campaign, folder, changes))}", flush=True)
    for remark in version_remarks(campaign, folder):
        print(remark, flush=True)
    if only is None:
        forget_requests(folder, campaign)
    if slurm is not None:
        from nnunet_pancext.campaign.slurm.submission import run_slurm

        run_slurm(folder, slurm)
        return 0
    return run_local(folder, gpus=gpus, only=only)
