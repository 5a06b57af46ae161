"""`pancext splits`: published splits, the folds nnU-Net reads, and leakage between them."""

import argparse
import sys

from nnunet_pancext.cli.options import add_command, add_jobs
from nnunet_pancext.io.console_text import counted

EXAMPLES = """\
examples:
  pancext splits list
  pancext splits apply 82 --split organsegrstn-4fold
  pancext splits check 82
  pancext splits check Dataset101_Slices --patient-regex '(patient[0-9]+)_'
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add `splits` with its three actions."""
    text = "published splits; folds by patient; leakage between training and test"
    parser = add_command(commands, "splits", help=text, epilog=EXAMPLES)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list the published splits and their sources")
    listing.set_defaults(run=run_list)
    applying = actions.add_parser("apply", help="write splits_final.json where nnU-Net reads it")
    applying.set_defaults(run=run_apply)
    checking = actions.add_parser(
        "check",
        help="detect leakage: patients or identical images shared between training and validation or test; "
        "exit code 1 on leakage, or if an image cannot be read",
    )
    checking.set_defaults(run=run_check)
    for action in (applying, checking):
        action.add_argument("dataset", help="number, name or folder of the raw dataset")
        action.add_argument(
            "--patient-regex", metavar="REGEX", help="its first group is the patient in a case's name"
        )
    applying.add_argument(
        "--split", metavar="NAME", help="a published split (default: that of the conversion)"
    )
    applying.add_argument(
        "--overwrite", action="store_true", help="replace existing folds, which are kept beside the new ones"
    )
    add_jobs(checking, cases="images")


def run_list(parsed: argparse.Namespace) -> int:
    """Print the published splits."""
    from nnunet_pancext.splits.published import PUBLISHED

    for split in PUBLISHED.values():
        if split.folds:
            parts = f"{len(split.folds)} folds of " + ", ".join(str(len(fold)) for fold in split.folds)
        else:
            parts = ", ".join(f"{len(patients)} {part}" for part, patients in split.parts.items())
        print(f"{split.name}\n    convert {split.layout}; patients: {parts}\n    {split.source}")
        if split.remark:
            print(f"    note: {split.remark}")
    return 0


def run_apply(parsed: argparse.Namespace) -> int:
    """Write the folds."""
    from nnunet_pancext.nnunet_files.raw_dataset import find_dataset, read_dataset
    from nnunet_pancext.splits.of_dataset import apply_split

    dataset = read_dataset(find_dataset(parsed.dataset), patient_regex=parsed.patient_regex)
    target, remarks = apply_split(dataset, name=parsed.split, overwrite=parsed.overwrite)
    for remark in remarks:
        print(f"warning   {remark}", file=sys.stderr)
    print(f"folds     {target}")
    return 0


def run_check(parsed: argparse.Namespace) -> int:
    """Print any leakage."""
    from nnunet_pancext.dataset_check.leakage import find_leakage
    from nnunet_pancext.io.files import encoding_fault
    from nnunet_pancext.nnunet_files.raw_dataset import find_dataset, read_dataset
    from nnunet_pancext.nnunet_files.splits_final import folds_file
    from nnunet_pancext.splits.of_dataset import current_folds

    dataset = read_dataset(find_dataset(parsed.dataset), patient_regex=parsed.patient_regex)
    leakage, unreadable = find_leakage(dataset, jobs=parsed.jobs)
    print(
        f"{len(dataset.training)} training and {len(dataset.test)} test cases of "
        f"{len(set(dataset.patients.values()))} patients, {len(current_folds(dataset))} folds"
    )
    folds = folds_file(dataset.folder.name)
    if folds and folds.is_file() and (fault := encoding_fault(folds)):
        print(f"warning   {fault}", file=sys.stderr)
    for leak in leakage:
        print(f"leak      {leak}", file=sys.stderr)
    for image in unreadable:
        print(f"unread    {image}", file=sys.stderr)
    if unreadable:
        print(f"{counted(len(unreadable), 'image')} cannot be read: leakage unknown", file=sys.stderr)
    elif not leakage:
        print("no patient or image is on both sides of a split")
    return 1 if leakage or unreadable else 0
