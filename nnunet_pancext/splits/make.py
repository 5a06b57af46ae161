"""Which cases train and which are for testing: reproducible, and never with a patient on both sides."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import counted
from nnunet_pancext.nnunet_files.splits_final import Folds
from nnunet_pancext.splits.folds import (
    FOLDS,
    SPLIT_SEED,
    cases_of,
    is_one_case_each,
    nnunet_folds,
    patient_folds,
    published_folds,
)
from nnunet_pancext.splits.published import PUBLISHED, PublishedSplit, names_for

NNUNET_SPLIT = "nnunet"
PUBLISHED_COUNTS = {"257/24", "216/65"}


@dataclass(frozen=True, kw_only=True)
class Split:
    """Case ids, sorted. `name` is what the user asked for, `source` explains the assignment.

    `folds` are those of the training cases where nnU-Net would not make the same by itself; None otherwise,
    and where there can be none. `remarks` are for the user, `gaps` lists missing patients of a published
    split.
    """

    name: str
    source: str
    training: tuple[str, ...]
    test: tuple[str, ...]
    folds: Folds | None = None
    remarks: tuple[str, ...] = ()
    gaps: str = ""


def parse_split(text: str, *, layout: str = "msd") -> tuple[int, int] | None:
    """Return (training, test) counts of 'A/B', None for a name; PancextError for anything else."""
    names = (NNUNET_SPLIT, *names_for(layout))
    if text in names:
        return None
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or min(map(int, match.groups())) < 1:
        listed = " or ".join(map(repr, names))
        raise PancextError(
            f"--split must be {listed} or two counts like 257/24 (training/test), got {text!r}."
        )
    return int(match[1]), int(match[2])


def make_split(
    case_ids: Collection[str],
    *,
    name: str,
    left_out: int = 0,
    layout: str = "msd",
    patients: Mapping[str, str] | None = None,
    test_cases: Collection[str] = (),
) -> Split:
    """Return the split of the usable labelled cases: 'nnunet', two counts of patients, or a published one.

    Args:
        left_out: number of bad cases, for messages.
        layout: the source, as `pancext convert` calls it.
        patients: of each case; None where each case is a patient.
        test_cases: the source's own test set, which only 'nnunet' respects.

    Raises:
        PancextError: the counts do not fit, or no case is in the published split.
    """
    patients = {case: (patients or {}).get(case, case) for case in sorted(case_ids)}
    counts = parse_split(name, layout=layout)
    if name in PUBLISHED:
        return _published_split(PUBLISHED[name], patients)
    if counts is None:
        return _nnunet_split(patients, test_cases=test_cases)
    require_count(patients, counts=counts, left_out=left_out)
    return _drawn_split(name, patients, test_count=counts[1])


def _nnunet_split(patients: Mapping[str, str], *, test_cases: Collection[str]) -> Split:
    """All labelled cases train except the source's own test set."""
    training = tuple(case for case in patients if case not in test_cases)
    if not training:  # only the source's test folder was given
        training, test_cases = tuple(patients), ()
    folds = patient_folds(training, patients)
    source = "the source's training cases train" if test_cases else "all labelled cases train"
    if is_one_case_each(patients):
        source += "; nnU-Net cross-validates over its own five folds"
    elif folds:
        source += f"; {len(folds)} folds by patient, made as nnU-Net makes its own"
    test = tuple(case for case in patients if case in test_cases)
    return Split(name=NNUNET_SPLIT, source=source, training=training, test=test, folds=folds)


def _drawn_split(name: str, patients: Mapping[str, str], *, test_count: int) -> Split:
    """The test patients are drawn with a fixed seed."""
    everyone = sorted(set(patients.values()))
    # NumPy guarantees the stream of RandomState, but not of its newer generators.
    order = np.random.RandomState(SPLIT_SEED).permutation(len(everyone))
    test = cases_of([everyone[index] for index in order[:test_count]], patients)
    training = tuple(case for case in patients if case not in set(test))
    origin = "published by count only, without case ids; " if name in PUBLISHED_COUNTS else ""
    drawn_from = "case ids" if is_one_case_each(patients) else "patients"
    return Split(
        name=name,
        source=f"{origin}drawn by numpy RandomState({SPLIT_SEED}).permutation over the sorted {drawn_from}, "
        f"the first {test_count} for testing",
        training=training,
        test=tuple(test),
        folds=patient_folds(training, patients),
    )


def _published_split(split: PublishedSplit, patients: Mapping[str, str]) -> Split:
    """The published assignment, of the cases present."""
    remarks = [split.remark] if split.remark else []
    present = set(patients.values())
    has_test = present & set(split.test)  # not where the source's test cases have no labels
    gaps = split.gaps(present if has_test else {*present, *split.test})
    if gaps:
        remarks.append(f"{gaps}. Results on it are not comparable with published ones")
    if unlisted := [case for case, patient in patients.items() if patient not in split.patients]:
        remarks.append(
            f"left out {counted(len(unlisted), 'labelled case')} that the list does not have: "
            f"{', '.join(unlisted)}"
        )
    training = cases_of(split.patients if split.folds else {*split.train, *split.val}, patients)
    if not training:
        raise PancextError(
            f"--split {split.name}: none of the dataset's cases is in the list. Is this the right dataset?"
        )
    return Split(
        name=split.name,
        source=split.source,
        training=tuple(training),
        test=tuple(cases_of(split.test, patients)),
        folds=published_folds(split, patients) or patient_folds(training, patients),
        remarks=tuple(remarks),
        gaps=gaps,
    )


def require_count(patients: Mapping[str, str], *, counts: tuple[int, int], left_out: int = 0) -> None:
    """Raise PancextError unless the two counts add up to the number of usable patients."""
    usable = len(set(patients.values()))
    what = "cases" if is_one_case_each(patients) else "patients"
    training, test = counts
    if usable == training + test:
        return
    alternative = f"--split {usable - test}/{test}" if usable > test else f"--split {NNUNET_SPLIT}"
    missing = f" ({left_out} left out as bad)" if left_out else ""
    raise PancextError(
        f"--split {training}/{test} needs {training + test} usable {what}, there are {usable}{missing}. "
        f"With these {what} {alternative} fits."
    )


def why_no_folds(split: Split, *, patients: Mapping[str, str]) -> str:
    """Return why the training cases have no folds, as a note; empty where they have some."""
    count = len(split.training)
    trained_on = {patients.get(case, case) for case in split.training}
    if split.folds or (count >= FOLDS and len(trained_on) > 1):
        return ""
    if len(trained_on) == 1 < count:
        return (
            f"all {count} training cases are of one patient, {trained_on.pop()}, and cannot be split into "
            "folds; train with fold 'all'"
        )
    return f"{count} training cases are too few for {FOLDS} folds; train with fold 'all'"


def split_document(split: Split, *, patients: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of split.json, with the folds even where nnU-Net makes the same by itself."""
    cases = (*split.training, *split.test)
    named = {case: patients[case] for case in cases if patients.get(case, case) != case}
    note = why_no_folds(split, patients=patients)
    return {
        "name": split.name,
        "source": split.source,
        "seed": SPLIT_SEED,
        "training": list(split.training),
        "test": list(split.test),
        **({"patients": named} if named else {}),
        **({"folds_note": note} if note else {"folds": split.folds or nnunet_folds(split.training)}),
    }
