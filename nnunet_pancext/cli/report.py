"""`pancext report`: the page about a trained model."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

DESCRIPTION = """\
Write one HTML file about a trained model, whoever's trainer it was: all metrics of its validation cases,
training curves, and pictures of the worst, median and best case. Its images must be volumes, such as
.nii.gz."""

EXAMPLES = """\
examples:
  M=$nnUNet_results/Dataset007_Pancreas
  pancext report $M/SegResNetNLTrainer__nnUNetPlans__3d_fullres -o segresnet.html
  pancext report $M/AttentionUNetTrainer__nnUNetPlans__2d --folds 0 --attention
  pancext compare 7 --trainers nnUNetTrainer SegResNetNLTrainer -o comparison && pancext report comparison
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the `report` sub-command."""
    parser = commands.add_parser(
        "report",
        help="write a page about a trained model: scores, curves, pictures of its worst and best cases",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "model",
        type=Path,
        metavar="FOLDER",
        help="what nnUNetv2_train wrote of a model, or what `pancext compare` wrote, to be told its page",
    )
    parser.add_argument(
        "-o", "--out", type=Path, metavar="FILE", help="the page (default: the trainer's name + .html)"
    )
    parser.add_argument(
        "-f", "--folds", nargs="+", default=(), metavar="FOLD", help="default: all that are there"
    )
    parser.add_argument("--truth", type=Path, metavar="FOLDER", help="true label maps, if not nnU-Net's")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="images, if not those in nnUNet_raw")
    parser.add_argument(
        "--attention", action="store_true", help="draw the attention maps of the median case too"
    )
    parser.add_argument("--jobs", type=int, help="cases scored at once (default 4, at most the CPUs)")
    parser.set_defaults(run=run)


def copy_page(page: Path, target: Path) -> Path:
    """Copy a comparison's page, atomically, and return where it is; PancextError where that cannot be."""
    from nnunet_pancext.errors import PancextError
    from nnunet_pancext.io.files import atomic_path

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as partial:
            partial.write_bytes(page.read_bytes())
    except OSError as error:
        raise PancextError(f"Cannot write {target}: {error.strerror}. Give another file with -o.") from error
    return target


def refuse_options(parsed: argparse.Namespace) -> None:
    """Refuse what a comparison's page cannot follow: it is written already."""
    from nnunet_pancext.errors import PancextError

    given = [
        name
        for name in ("folds", "truth", "images", "attention", "jobs")
        if getattr(parsed, name) not in ((), None, False)
    ]
    if given:
        raise PancextError(
            f"{', '.join(f'--{name}' for name in given)}: {parsed.model} is a comparison, whose page is "
            "written already. Give the option for a model's folder, or to pancext compare where that has it."
        )


def run(parsed: argparse.Namespace) -> int:
    """Write the page as parsed and say where it is."""
    from nnunet_pancext.comparison.output.files import PAGE_NAME
    from nnunet_pancext.evaluation.totals_table import format_totals
    from nnunet_pancext.io.parallel import default_jobs
    from nnunet_pancext.model_report.build import write_model_report
    from nnunet_pancext.nnunet_files.model_folder import open_model_folder

    comparison = parsed.model / PAGE_NAME
    if comparison.is_file():
        refuse_options(parsed)
        print(f"report    {comparison if parsed.out is None else copy_page(comparison, parsed.out)}")
        return 0
    model = open_model_folder(parsed.model, folds=parsed.folds, truth=parsed.truth, images=parsed.images)
    target = parsed.out or Path(f"{model.trainer}.html")
    report = write_model_report(
        model,
        target,
        jobs=default_jobs() if parsed.jobs is None else parsed.jobs,
        attention=parsed.attention,
    )
    print(format_totals(report.validation.evaluation))
    for note in report.notes:
        print(f"note      {note}", file=sys.stderr)
    print(f"\nreport    {target}")
    return 0
