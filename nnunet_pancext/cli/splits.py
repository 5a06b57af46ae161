"""`pancext splits`: published splits, folds where nnU-Net reads them, and leaks between them."""

from __future__ import annotations

import argparse
import sys

EXAMPLES = """\
examples:
  pancext splits list
  pancext splits apply 82 --split organsegrstn-4fold
  pancext splits check 82
  pancext splits check Dataset101_Slices --patient-regex '(patient[0-9]+)_'
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add `splits` with its three actions."""
    parser = commands.add_parser(
        "splits",
        help="published splits; folds by patient; leaks between train and test",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="the published splits, and where they come from")
    listing.set_defaults(run=run_list)
    applying = actions.add_parser("apply", help="write splits_final.json where nnU-Net reads it")
    applying.add_argument("dataset", help="number, name or folder of the raw dataset")
    applying.add_argument("--split", metavar="NAME", help="a published one (default: that of its conversion)")
    applying.add_argument(
        "--overwrite", action="store_true", help="replace other folds; they are kept beside the new ones"
    )
    applying.set_defaults(run=run_apply)
    checking = actions.add_parser(
        "check",
        help="look for a patient, or an image's content, on both sides; exit code 1 if there is one, "
        "or an image cannot be read",
    )
    checking.add_argument("dataset", help="number, name or folder of the raw dataset")
    checking.add_argument("--jobs", type=int, help="images read at once (default 4, at most the CPUs)")
    checking.set_defaults(run=run_check)
    for one in (applying, checking):
        one.add_argument(
            "--patient-regex", metavar="REGEX", help="finds the patient in a case's name, as its first group"
        )


def run_list(parsed: argparse.Namespace) -> int:
    """Print the published splits."""
    from nnunet_pancext.splits.published import PUBLISHED

    for split in PUBLISHED.values():
        if split.folds:
            parts = f"{len(split.folds)} folds of " + ", ".join(str(len(fold)) for fold in split.folds)
        else:
            sizes = {"train": split.train, "val": split.val, "test": split.test}
            parts = ", ".join(f"{len(patients)} {part}" for part, patients in sizes.items() if patients)
        print(f"{split.name}\n    convert {split.layout}; patients: {parts}\n    {split.source}")
        if split.remark:
            print(f"    note: {split.remark}")
    return 0


def run_apply(parsed: argparse.Namespace) -> int:
    """Write the folds."""
    from nnunet_pancext.splits.of_dataset import apply_split, find_dataset, read_dataset

    dataset = read_dataset(find_dataset(parsed.dataset), patient_regex=parsed.patient_regex)
    target, remarks = apply_split(dataset, name=parsed.split, overwrite=parsed.overwrite)
    for remark in remarks:
        print(f"warning   {remark}", file=sys.stderr)
    print(f"folds     {target}")
    return 0


def run_check(parsed: argparse.Namespace) -> int:
    """Print the leaks."""
    from nnunet_pancext.splits.of_dataset import (
        current_folds,
        find_dataset,
        find_leaks,
        read_dataset,
    )

    dataset = read_dataset(find_dataset(parsed.dataset), patient_regex=parsed.patient_regex)
    leaks, unreadable = find_leaks(dataset, jobs=parsed.jobs)
    people = len(set(dataset.patients.values()))
    print(
        f"{len(dataset.training)} training and {len(dataset.test)} test cases of {people} patients, "
        f"{len(current_folds(dataset))} folds"
    )
    for leak in leaks:
        print(f"leak      {leak}", file=sys.stderr)
    for image in unreadable:
        print(f"unread    {image}", file=sys.stderr)
    if unreadable:
        print(f"{len(unreadable)} image(s) cannot be read, so whether they leak is unknown", file=sys.stderr)
    elif not leaks:
        print("no patient and no image is on both sides")
    return 1 if leaks or unreadable else 0
