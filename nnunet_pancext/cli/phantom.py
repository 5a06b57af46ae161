"""`pancext phantom`: write phantom CTs in the layout of MSD Task07_Pancreas."""

from __future__ import annotations

import argparse
from pathlib import Path

from nnunet_pancext.cli.options import add_command
from nnunet_pancext.phantom import DEFAULT_SIZE, DIFFICULTIES, write_phantom_dataset

DESCRIPTION = """\
Write synthetic abdominal CTs with a pancreas and, in four of five, a tumour, in the layout of the MSD
Task07_Pancreas download, so that every other command can be tried without a real dataset.
A seed always gives the same cases, whatever their number."""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the `phantom` sub-command."""
    parser = add_command(
        commands,
        "phantom",
        help="write synthetic CTs as a stand-in for MSD Task07_Pancreas",
        description=DESCRIPTION,
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder in which Task07_Pancreas is created")
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
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the series (default: 0)")
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Write the dataset and print its folder."""
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
