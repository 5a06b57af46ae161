"""`pancext check`: look through a raw dataset before training on it."""

from __future__ import annotations

import argparse
from pathlib import Path

DESCRIPTION = """\
Look through any nnU-Net raw dataset and write a report with a picture of each case, the worst first, but of
no more than 300 cases. The exit code is 1 if a case has an error."""

EXAMPLES = """\
examples:
  pancext check 7                                     $nnUNet_raw/Dataset007_*
  pancext check Dataset082_NIHPancreas -o nih_check --jobs 8
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the `check` sub-command."""
    parser = commands.add_parser(
        "check",
        help="look through a raw dataset: geometry, labels, duplicates, HU, orientation, with pictures",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("dataset", help="number, name or folder of the raw dataset")
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="FOLDER",
        help="of the report (default: the dataset's name + _check)",
    )
    parser.add_argument("--jobs", type=int, help="cases read at once (default 4, at most the CPUs)")
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Check as parsed and print the summary."""
    from nnunet_pancext.dataset_check.check import check_dataset, summary
    from nnunet_pancext.nnunet_files.raw_dataset import find_dataset

    folder = find_dataset(parsed.dataset)
    out = parsed.out or Path(f"{folder.resolve().name}_check")
    result = check_dataset(folder, out=out, jobs=parsed.jobs)
    print(summary(result))
    return 0 if result.is_sound else 1
