"""`pancext inspect`: what is a model from elsewhere, and can it be run here?"""

import argparse
from pathlib import Path

from nnunet_pancext.cli.options import add_allow, add_command

DESCRIPTION = """\
Show what a shared nnU-Net model is: trainer, plan, folds, labels, channels, epochs, sizes and hashes, and
every reason why this installation cannot run it. No code in the model is run, and nothing is installed.
The exit code is 0 if every model can be run here, else 1."""

EXAMPLES = """\
examples:
  pancext inspect pancreas_model.zip
  pancext inspect $nnUNet_results/Dataset007_Pancreas/SegResNetNLTrainer__nnUNetPlans__3d_fullres
  pancext inspect checkpoint_final.pth --json
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the `inspect` sub-command."""
    parser = add_command(
        commands,
        "inspect",
        help="what a model from elsewhere is, without running its code",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    parser.add_argument("source", type=Path, metavar="MODEL", help="a .zip, a model's folder or a checkpoint")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_allow(parser)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Print the inspection."""
    import json

    from nnunet_pancext.model_sharing.inspect import inspect_source
    from nnunet_pancext.model_sharing.text import inspection_json, inspection_text

    inspection = inspect_source(parsed.source, allow=parsed.allow)
    print(json.dumps(inspection_json(inspection), indent=2) if parsed.json else inspection_text(inspection))
    return 1 if inspection.problems else 0
