"""`pancext trainers`: what `-tr` accepts, and how large each network is."""

from __future__ import annotations

import argparse
from pathlib import Path

from nnunet_pancext.errors import PancextError

DESCRIPTION = """\
List every trainer with its paper, the size of its network and its loss, and the suffixes that may follow a
trainer's name. Without --plans the sizes are those for nnU-Net's plan of MSD pancreas."""

EXAMPLES = """\
examples:
  pancext trainers
  pancext trainers --suffixes
  pancext trainers --plans $nnUNet_preprocessed/Dataset007_Pancreas/nnUNetPlans.json
  pancext trainers --plans nnUNetResEncUNetLPlans.json --configuration 3d_fullres
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the `trainers` sub-command."""
    parser = commands.add_parser(
        "trainers",
        help="list what -tr accepts, with the size of each network",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--plans",
        type=Path,
        metavar="FILE",
        help="a plan of nnU-Net; a dataset.json beside it tells channels and classes",
    )
    parser.add_argument(
        "-c",
        "--configuration",
        metavar="NAME",
        help="one configuration of the plan, e.g. 3d_fullres (default: all)",
    )
    parser.add_argument(
        "--suffixes", action="store_true", help="explain the suffixes, and each paper's recipe, alone"
    )
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Print the table."""
    # torch and nnU-Net take seconds to load; the other sub-commands shall not wait for them.
    from nnunet_pancext.cli.trainer_table import explain_suffixes, format_overview, overview
    from nnunet_pancext.trainers.machinery.plan_setting import default_setting, read_setting

    if parsed.suffixes and (parsed.plans or parsed.configuration):
        raise PancextError("--suffixes is the same for every plan: leave out --plans and --configuration.")
    if parsed.suffixes:
        print(explain_suffixes())
        return 0
    if parsed.plans is None:
        setting = default_setting(parsed.configuration)
    else:
        setting = read_setting(parsed.plans, parsed.configuration)
    print(format_overview(overview(setting), setting))
    return 0
