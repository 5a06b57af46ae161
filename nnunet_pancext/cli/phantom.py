"""`pancext phantom`: write phantom CTs in the layout of MSD Task07_Pancreas."""

import argparse
from pathlib import Path

from nnunet_pancext.cli.options import add_command

SIZE = (40, 80, 80)
DESCRIPTION = """\
Write synthetic abdominal CTs with a pancreas and, in four of five, a tumour, in the layout of the MSD
Task07_Pancreas download, to try every other command without a real dataset.
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
        default=SIZE,
        metavar=("Z", "Y", "X"),
        help=f"voxels along each axis; the body always fits (default: {' '.join(map(str, SIZE))})",
    )
    parser.add_argument(
        "--difficulty",
        choices=("easy", "hard"),
        default="easy",
        help="easy: clear contrasts, tumours of 20 mm and more; hard: contrasts within the noise, tumours "
        "from 3 mm (default: easy)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="random seed (default: 0)")
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Write the dataset and print its folder."""
    from nnunet_pancext.phantom import write_phantom_dataset

    options = {name: getattr(parsed, name) for name in ("cases", "test_cases", "difficulty", "seed")}
    print(write_phantom_dataset(parsed.out, size=tuple(parsed.size), **options))
    return 0
