"""`pancext campaign run`: every step that is not done, on this machine or on Slurm."""

import argparse
from pathlib import Path

from nnunet_pancext.cli.campaign_slurm import add_slurm_options, slurm_options
from nnunet_pancext.cli.options import add_command
from nnunet_pancext.errors import PancextError

DESCRIPTION = """\
Do every step that is not done, including those that failed, were interrupted or cancelled before. Independent
steps run in parallel, one per GPU. Ctrl-C ends them, and the same command resumes them."""

EXAMPLES = """\
examples:
  pancext campaign run CAMPAIGN                         all GPUs of this machine
  pancext campaign run CAMPAIGN --gpus 2                two of them; CUDA_VISIBLE_DEVICES chooses which
  pancext campaign run CAMPAIGN --on slurm --partition gpu --gres gpu:1 --time 24:00:00
  pancext campaign run CAMPAIGN --redo                  after a change of campaign.toml
"""


def add_parsers(commands: argparse._SubParsersAction) -> None:
    """Add `run`."""
    text = "do every step that is not done"
    parser = add_command(commands, "run", help=text, description=DESCRIPTION, epilog=EXAMPLES)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the campaign's folder")
    parser.add_argument(
        "--on", choices=("local", "slurm"), default="local", help="this machine (default), or Slurm's queue"
    )
    parser.add_argument("--gpus", type=int, metavar="N", help="GPUs of this machine to use (default: all)")
    parser.add_argument(
        "--redo",
        action="store_true",
        help="do steps again whose entries in campaign.toml have changed; earlier results are renamed",
    )
    add_slurm_options(parser)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Run the campaign; the exit code is 0 if every step is done."""
    from nnunet_pancext.campaign.run import run_campaign

    slurm = slurm_options(parsed)
    if parsed.on == "slurm" and parsed.gpus is not None:
        raise PancextError("--gpus is for this machine; on Slurm give --gres, e.g. --gres gpu:1.")
    if parsed.on == "local" and slurm.as_json():
        raise PancextError(f"Options of Slurm jobs ({', '.join(slurm.as_json())}) need --on slurm. Add it.")
    return run_campaign(
        parsed.folder,
        gpus=parsed.gpus,
        slurm=slurm if parsed.on == "slurm" else None,
        do_again=parsed.redo,
    )
