"""`pancext campaign cancel` and `retry`."""

import argparse
from pathlib import Path

from nnunet_pancext.cli.options import add_command

CANCEL = """\
End running steps, and keep a running `run`, or Slurm, from starting the others. A training saves its state
first. `run` and `retry` do cancelled steps again."""
RETRY = """\
Do steps again that failed, were interrupted or cancelled (default: all of them): in the `run` that is
running, on Slurm if the campaign was submitted there, or else at once, as `run` does."""


def add_parsers(commands: argparse._SubParsersAction) -> None:
    """Add `cancel` and `retry`."""
    for name, text, description, run in (
        ("cancel", "end steps, and keep others from starting", CANCEL, run_cancel),
        ("retry", "do failed or cancelled steps again", RETRY, run_retry),
    ):
        parser = add_command(commands, name, help=text, description=description)
        parser.add_argument("folder", type=Path, metavar="FOLDER", help="the campaign's folder")
        parser.add_argument("steps", nargs="*", metavar="STEP", help="names of steps (default: all)")
        parser.set_defaults(run=run)


def run_cancel(parsed: argparse.Namespace) -> int:
    """Print what was cancelled."""
    from nnunet_pancext.campaign.control import cancel

    names = cancel(parsed.folder, parsed.steps)
    for name in names:
        print(f"cancelled {name}")
    if not names:
        print(f"Nothing to cancel: {'already done' if parsed.steps else 'all steps are done'}.")
    return 0


def run_retry(parsed: argparse.Namespace) -> int:
    """Do the steps again: in a `run` that is running, on Slurm, or here."""
    from nnunet_pancext.campaign.control import SUBMISSIONS, is_run_under_way, retry
    from nnunet_pancext.campaign.run import run_campaign

    names = retry(parsed.folder, parsed.steps)
    if not names:
        print("Nothing to retry: no step failed, was interrupted or cancelled.")
        return 0
    if is_run_under_way(parsed.folder):
        for name in names:
            print(f"ready again {name}")
        return 0
    if (parsed.folder / SUBMISSIONS).is_file():
        from nnunet_pancext.campaign.slurm.submission import run_slurm

        run_slurm(parsed.folder, steps=names)
        return 0
    return run_campaign(parsed.folder, only={*names, *parsed.steps})
