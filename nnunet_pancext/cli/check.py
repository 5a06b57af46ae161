"""`pancext check`: check a raw dataset before training on it."""

import argparse
from pathlib import Path

from nnunet_pancext.cli.options import add_command, add_jobs, add_out

DESCRIPTION = """\
Check an nnU-Net raw dataset and write an HTML report with one figure per case, worst first (at most 300).
The exit code is 1 if a case has an error."""

EXAMPLES = """\
examples:
  pancext check 7                                     $nnUNet_raw/Dataset007_*
  pancext check Dataset082_NIHPancreas -o nih_check --jobs 8
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the `check` sub-command."""
    parser = add_command(
        commands,
        "check",
        help="check a raw dataset: geometry, labels, duplicates, HU, orientation, with figures",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    parser.add_argument("dataset", help="number, name or folder of the raw dataset")
    add_out(parser, "-o", default="the dataset's name + _check")
    add_jobs(parser)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Check a raw dataset and print the summary."""
    from nnunet_pancext.dataset_check.check import check_dataset, summary
    from nnunet_pancext.nnunet_files.raw_dataset import find_dataset

    folder = find_dataset(parsed.dataset)
    out = parsed.out or Path(f"{folder.resolve().name}_check")
    result = check_dataset(folder, out=out, jobs=parsed.jobs)
    print(summary(result))
    return 0 if result.is_sound else 1
