"""`pancext demo`: from raw CTs to a report through nnU-Net's own commands."""

from __future__ import annotations

import argparse
from pathlib import Path

EXAMPLES = """\
examples:
  pancext demo                                         made CTs, minutes on two processors
  pancext demo --labels pancreas+tumour --epochs 40    the tumour as a label of its own
  pancext demo --data Task07_Pancreas --epochs 80      your own folder in MSD's layout
  pancext demo --trainer SegResNetNL0Trainer --configuration 3d_fullres --keep --out without_non_local
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the `demo` sub-command."""
    parser = commands.add_parser(
        "demo",
        help="the whole way on made CTs, or on your own, with a report at the end",
        description="Make CTs (or take yours), convert, plan, train, predict, evaluate, write a report.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--out", type=Path, default=Path("demo_output"), help="folder of the report (default %(default)s)"
    )
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER", help="a dataset in MSD's layout instead of made CTs"
    )
    parser.add_argument("--trainer", default="SegResNetNLTrainer", help="default %(default)s")
    parser.add_argument(
        "-c", "--configuration", choices=("2d", "3d_fullres"), default="2d", help="default %(default)s"
    )
    parser.add_argument(
        "--labels",
        choices=("pancreas", "pancreas+tumour"),
        default="pancreas",
        help="one label for the organ with its tumour, as Liao et al. have it, or both (default %(default)s)",
    )
    parser.add_argument("--epochs", type=int, metavar="N", help="epochs of 30 iterations (default 20)")
    parser.add_argument(
        "--keep", action="store_true", help="keep nnU-Net's folders, with the trained model, in OUT/work"
    )
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Run the demo as parsed."""
    from nnunet_pancext.demo.pipeline import run_demo

    run_demo(
        out=parsed.out,
        data=parsed.data,
        trainer=parsed.trainer,
        configuration=parsed.configuration,
        labels=parsed.labels,
        epochs=parsed.epochs,
        keep=parsed.keep,
    )
    return 0
