"""`pancext trainers`: what `-tr` accepts, and how large each network is."""

import argparse
import gc
from importlib.metadata import entry_points
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.kept_text import kept_text
from nnunet_pancext.modules import PAPERS

DESCRIPTION = """\
List the trainers with paper, network size and loss, and the suffixes that may follow a trainer's name.
Ablations, and trainers that need an optional package, are listed with --all. Without --plans, sizes
are for nnU-Net's plan of MSD pancreas."""

EXAMPLES = """\
examples:
  pancext trainers
  pancext trainers --all
  pancext trainers --suffixes
  pancext trainers --plans $nnUNet_preprocessed/Dataset007_Pancreas/nnUNetPlans.json
  pancext trainers --plans nnUNetResEncUNetLPlans.json --configuration 3d_fullres
"""
PACKAGES = ("torch", "nnunetv2", "monai", "einops")  # on which the table depends, as on this package


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
        help="an nnU-Net plans file; channels and classes come from a dataset.json beside it",
    )
    parser.add_argument(
        "-c",
        "--configuration",
        metavar="NAME",
        help="one configuration of the plan, e.g. 3d_fullres (default: all)",
    )
    parser.add_argument(
        "--all", action="store_true", help="include ablations and trainers that need an optional package"
    )
    parser.add_argument(
        "--suffixes", action="store_true", help="only explain the suffixes and the papers' recipes"
    )
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Print the table."""
    options = (parsed.plans, parsed.configuration, parsed.all, parsed.suffixes)
    if parsed.plans is None and not entry_points(group=PAPERS):
        # Importing nnU-Net alone takes longer than everything else here.
        text = kept_text("trainers", made_from=options, packages=PACKAGES, make=lambda: _text(parsed))
    else:
        text = _text(parsed)
    print(text)
    return 0


def _text(parsed: argparse.Namespace) -> str:
    gc.disable()  # for the imports, above all, garbage collection takes a quarter of the time
    try:
        return _made_text(parsed)
    finally:
        gc.enable()


def _made_text(parsed: argparse.Namespace) -> str:
    if parsed.suffixes and (parsed.plans or parsed.configuration):
        raise PancextError("--suffixes is the same for every plan: leave out --plans and --configuration.")
    # Imported here, because torch and nnU-Net take seconds to load.
    from nnunet_pancext.cli.trainer_table import explain_suffixes, format_overview, main_trainers, overview
    from nnunet_pancext.trainers import list_trainers
    from nnunet_pancext.trainers.machinery.plan_setting import default_setting, read_setting

    if parsed.suffixes:
        return explain_suffixes()
    if parsed.plans is None:
        setting = default_setting(parsed.configuration)
    else:
        setting = read_setting(parsed.plans, parsed.configuration)
    trainers = list_trainers()
    listed = trainers if parsed.all else main_trainers()
    hidden = {name: trainer for name, trainer in trainers.items() if name not in listed}
    return format_overview(overview(setting, listed), setting, hidden)
