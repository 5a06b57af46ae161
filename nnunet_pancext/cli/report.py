"""`pancext report`: the page about a trained model."""

import argparse
import sys
from pathlib import Path

from nnunet_pancext.cli.options import add_command, add_jobs
from nnunet_pancext.errors import PancextError

DESCRIPTION = """\
Write one HTML file about a trained model, of any nnU-Net trainer: all metrics of its validation cases,
training curves, and figures of the worst, median and best case."""

EXAMPLES = """\
examples:
  M=$nnUNet_results/Dataset007_Pancreas
  pancext report $M/SegResNetNLTrainer__nnUNetPlans__3d_fullres -o segresnet.html
  pancext report $M/AttentionUNetTrainer__nnUNetPlans__2d --folds 0 --attention
  pancext compare 7 --trainers nnUNetTrainer SegResNetNLTrainer -o comparison && pancext report comparison
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the `report` sub-command."""
    text = "write a page about a trained model: scores, curves, figures of its worst and best cases"
    parser = add_command(commands, "report", help=text, description=DESCRIPTION, epilog=EXAMPLES)
    parser.add_argument(
        "model",
        type=Path,
        metavar="FOLDER",
        help="trained model folder, or a `pancext compare` output folder (prints the path of its report)",
    )
    parser.add_argument(
        "-o", "--out", type=Path, metavar="FILE", help="output file (default: the trainer's name + .html)"
    )
    parser.add_argument(
        "-f", "--folds", nargs="+", default=(), metavar="FOLD", help="default: all trained folds"
    )
    parser.add_argument("--truth", type=Path, metavar="FOLDER", help="ground truth, if not nnU-Net's")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="images, if not in nnUNet_raw")
    parser.add_argument(
        "--attention", action="store_true", help="also draw the attention maps of the median case"
    )
    add_jobs(parser)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Write the page and print its path."""
    from nnunet_pancext.comparison.output.files import PAGE_NAME
    from nnunet_pancext.evaluation.totals_table import format_totals
    from nnunet_pancext.io.parallel import default_jobs
    from nnunet_pancext.model_report.build import save_page, write_model_report
    from nnunet_pancext.nnunet_files.model_folder import open_model_folder

    comparison = parsed.model / PAGE_NAME
    if comparison.is_file():
        names = ("folds", "truth", "images", "attention", "jobs")
        given = [f"--{name}" for name in names if getattr(parsed, name) not in ((), None, False)]
        if given:
            raise PancextError(
                f"{', '.join(given)}: {parsed.model} is a comparison, whose page is already written. "
                "Use the option with a model folder, or with pancext compare if it has it."
            )
        if parsed.out is not None:
            save_page(parsed.out, comparison.read_text(encoding="utf-8"))
        print(f"report    {parsed.out or comparison}")
        return 0
    model = open_model_folder(parsed.model, folds=parsed.folds, truth=parsed.truth, images=parsed.images)
    target = parsed.out or Path(f"{model.trainer}.html")
    jobs = default_jobs() if parsed.jobs is None else parsed.jobs
    evaluation, notes = write_model_report(model, target, jobs=jobs, attention=parsed.attention)
    totals = format_totals(evaluation)
    print(totals)
    for note in notes:
        if note not in totals:
            print(f"note      {note}", file=sys.stderr)
    print(f"\nreport    {target}")
    return 0
