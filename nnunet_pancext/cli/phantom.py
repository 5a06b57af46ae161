"""`pancext phantom`: write made CTs in the layout of MSD Task07_Pancreas."""

from __future__ import annotations

import argparse
from pathlib import Path

from nnunet_pancext.phantom import DEFAULT_SIZE, DIFFICULTIES, write_phantom_dataset

DESCRIPTION = """\
Write made abdominal CTs with a pancreas and, in four of five, a tumour, laid out as the download of MSD
Task07_Pancreas, so that every further command can be tried without a real dataset.
The same seed gives the same cases, however many are asked for."""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the `phantom` sub-command."""
    parser = commands.add_parser(
        "phantom",
        help="write made CTs as a stand-in for MSD Task07_Pancreas",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder in which Task07_Pancreas is made")
    parser.add_argument("--cases", type=int, default=10, metavar="N", help="labelled cases (default: 10)")
    parser.add_argument(
        "--test-cases", type=int, default=0, metavar="M", help="unlabelled cases (default: 0)"
    )
    parser.add_argument(
        "--size",
        type=int,
        nargs=3,
        default=DEFAULT_SIZE,
        metavar=("Z", "Y", "X"),
        help=f"voxels along each axis; the body stays whole (default: {' '.join(map(str, DEFAULT_SIZE))})",
    )
    parser.add_argument(
        "--difficulty",
        choices=tuple(DIFFICULTIES),
        default="easy",
        help="easy: clear contrasts, tumours of 20 mm and more; hard: contrasts within the noise, tumours "
        "from 3 mm (default: easy)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="names the series (default: 0)")
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Write the dataset and print where it lies."""
    folder = write_phantom_dataset(
        parsed.out,
        cases=parsed.cases,
        test_cases=parsed.test_cases,
        size=tuple(parsed.size),
        difficulty=parsed.difficulty,
        seed=parsed.seed,
    )
    print(folder)
    return 0
