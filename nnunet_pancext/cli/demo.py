"""`pancext demo`: from raw CTs to a report through nnU-Net's own commands."""

import argparse
from pathlib import Path

from nnunet_pancext.cli.options import add_command, add_out

EXAMPLES = """\
examples:
  pancext demo                                         phantoms, minutes on two CPU cores
  pancext demo --labels pancreas+tumour --epochs 40    the tumour as a label of its own
  pancext demo --data Task07_Pancreas --epochs 80      your own folder in MSD's layout
  pancext demo --trainer SegResNetNL0Trainer --configuration 3d_fullres --keep --out without_non_local
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the `demo` sub-command."""
    parser = add_command(
        commands,
        "demo",
        help="the whole pipeline on phantoms or your own CTs, with a report at the end",
        description="Create phantom CTs (or take yours), convert, plan, train, predict, evaluate and report.",
        epilog=EXAMPLES,
    )
    add_out(parser, default=Path("demo_output"))
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER", help="a dataset in MSD's layout instead of phantoms"
    )
    parser.add_argument("--trainer", default="SegResNetNLTrainer", help="default: %(default)s")
    parser.add_argument(
        "-c", "--configuration", choices=("2d", "3d_fullres"), default="2d", help="default: %(default)s"
    )
    parser.add_argument(
        "--labels",
        choices=("pancreas", "pancreas+tumour"),
        default="pancreas",
        help="one label for the organ with its tumour, as in Liao et al., or both (default: %(default)s)",
    )
    parser.add_argument("--epochs", type=int, metavar="N", help="epochs of 30 iterations (default: 20)")
    parser.add_argument(
        "--keep",
        action="store_true",
        help="keep nnU-Net's folders and the trained model in the output folder's `work`",
    )
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Run the demo as parsed."""
    from nnunet_pancext.demo.pipeline import run_demo

    names = ("out", "data", "trainer", "configuration", "labels", "epochs", "keep")
    run_demo(**{name: getattr(parsed, name) for name in names})
    return 0
