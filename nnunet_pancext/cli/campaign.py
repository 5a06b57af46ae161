"""`pancext campaign`: every trainer on every fold of some datasets, up to their comparison."""

import argparse

from nnunet_pancext.cli import campaign_control, campaign_plan, campaign_run, campaign_status
from nnunet_pancext.cli.options import add_command

DESCRIPTION = """\
Train every trainer on every fold of the datasets and compare them, on this machine's GPUs or on Slurm:
preprocess, train, validate, find the best configuration, predict and evaluate a test set, compare. A killed
run resumes where it stopped and loses at most one epoch."""

EXAMPLES = """\
examples:
  pancext campaign plan 7 -tr nnUNetTrainer SegResNetNLTrainer -c 3d_fullres -o CAMPAIGN
  pancext campaign run CAMPAIGN                                    on this machine, all GPUs
  pancext campaign run CAMPAIGN --on slurm --partition gpu --gres gpu:1 --memory 48G --time 24:00:00
  pancext campaign status CAMPAIGN --watch
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the `campaign` sub-command and those below it."""
    parser = add_command(
        commands,
        "campaign",
        help="train and compare every trainer on every fold, on one machine or on Slurm",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    below = parser.add_subparsers(dest="campaign_command", metavar="COMMAND", required=True)
    for module in (campaign_plan, campaign_run, campaign_status, campaign_control):
        module.add_parsers(below)
