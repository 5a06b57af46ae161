"""Which cases train and which are held out, always the same for the same cases, and never half a patient."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnunet_pancext.errors import PancextError
from nnunet_pancext.splits.published import PUBLISHED, PublishedSplit, names_for

SPLIT_SEED = 12345
FOLDS = 5
NNUNET_SPLIT = "nnunet"
PUBLISHED_COUNTS = {"257/24", "216/65"}
SPLITS_FILE = Path("splits_final.json")

Folds = list[dict[str, list[str]]]


@dataclass(frozen=True, kw_only=True)
class Split:
    """Case ids, sorted. `name` is what the user asked for, `source` says where the assignment comes from.

    `folds` are those of the training cases that nnU-Net would not make by itself, each with its cases under
    "train" and "val"; None where it does, or where there can be none. `remarks` are what the user should
    know, `gaps` which patients of a published list are not there.
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
    known = names_for(layout)
    if text in (NNUNET_SPLIT, *known):
        return None
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or min(map(int, match.groups())) < 1:
        names = " or ".join(repr(name) for name in (NNUNET_SPLIT, *known))
        raise PancextError(
            f"--split must be {names} or two counts like 257/24 (training/test), got {text!r}."
        )
    return int(match[1]), int(match[2])


def make_split(
    case_ids: Collection[str],
    *,
    name: str,
    left_out: int = 0,
    layout: str = "msd",
    patients: Mapping[str, str] | None = None,
    held_out: Collection[str] = (),
) -> Split:
    """Return the split called `name` of the usable labelled cases.

    Args:
        case_ids: all usable labelled cases.
        name: 'nnunet', two counts of patients, or one published for the `layout`.
        left_out: how many cases were bad, for errors only.
        layout: the source, as `pancext convert` calls it.
        patients: of each case; None where each case is a patient.
        held_out: cases that the source itself tests on; only 'nnunet' asks.

    Raises:
        PancextError: the counts do not fit, or no case is one of the published split's.
    """
    ids = sorted(case_ids)
    of = {one: (patients or {}).get(one, one) for one in ids}
    counts = parse_split(name, layout=layout)
    if name in PUBLISHED:
        return _published(PUBLISHED[name], of)
    if counts is None:
        training = tuple(one for one in ids if one not in held_out)
        if not training:  # the source's test folder alone was given
            training, held_out = tuple(ids), ()
        folds = patient_folds(training, of)
        source = "the source's training cases train" if held_out else "all labelled cases train"
        if _one_case_each(of):
            source += "; nnU-Net cross-validates over its own five folds"
        elif folds:
            source += f"; {len(folds)} folds by patient, made as nnU-Net makes its own"
        return Split(
            name=name,
            source=source,
            training=training,
            test=tuple(one for one in ids if one in held_out),
            folds=folds,
        )
    everyone = sorted(set(of.values()))
    one_each = _one_case_each(of)
    require_count(len(everyone), counts=counts, left_out=left_out, what="cases" if one_each else "patients")
    # RandomState's stream is frozen by NumPy's compatibility promise, that of newer generators is not.
    order = np.random.RandomState(SPLIT_SEED).permutation(len(everyone))
    tested = {everyone[index] for index in order[: counts[1]]}
    training = tuple(one for one in ids if of[one] not in tested)
    origin = "published by count only, without case ids; " if name in PUBLISHED_COUNTS else ""
    drawn_from = "case ids" if one_each else "patients"
    source = (
        f"{origin}drawn by numpy RandomState({SPLIT_SEED}).permutation over the sorted {drawn_from}, "
        f"first {counts[1]} held out"
    )
    return Split(
        name=name,
        source=source,
        training=training,
        test=tuple(one for one in ids if of[one] in tested),
        folds=patient_folds(training, of),
    )


def _published(split: PublishedSplit, of: Mapping[str, str]) -> Split:
    """Return the published split of the cases that there are."""
    remarks = [split.remark] if split.remark else []
    there = set(of.values())
    tested = there & set(split.test)  # none where the source's test cases have no labels
    gaps = split.gaps(there if tested else {*there, *split.test})
    if gaps:
        remarks.append(f"{gaps}. What is measured with it is not comparable with what was published")
    unlisted = sorted(one for one, patient in of.items() if patient not in split.patients)
    if unlisted:
        remarks.append(
            f"{len(unlisted)} labelled case(s) are not in the list and are left out: {', '.join(unlisted)}"
        )

    def cases(patients: Collection[str]) -> list[str]:
        return [one for one, patient in of.items() if patient in patients]

    training = cases(split.patients if split.folds else {*split.train, *split.val})
    if not training:
        raise PancextError(
            f"--split {split.name}: none of the dataset's cases is in the list. Is this the right dataset?"
        )
    return Split(
        name=split.name,
        source=split.source,
        training=tuple(training),
        test=tuple(cases(split.test)),
        folds=published_folds(split, of) or patient_folds(training, of),
        remarks=tuple(remarks),
        gaps=gaps,
    )


def published_folds(split: PublishedSplit, of: Mapping[str, str]) -> Folds:
    """Return a published split's folds of the cases, whose patients are `of`; empty where it names none.

    Raises:
        PancextError: there is no case to train on, or none to validate on, in one of them.
    """

    def cases(patients: Collection[str]) -> list[str]:
        return [one for one, patient in of.items() if patient in patients]

    if split.folds:
        folds = [{"train": cases(split.patients - set(fold)), "val": cases(fold)} for fold in split.folds]
    elif split.val:
        folds = [{"train": cases(split.train), "val": cases(split.val)}]
    else:
        folds = []
    require_whole_folds(folds, split=split, patients=of.values())
    return folds


def require_whole_folds(folds: Folds, *, split: PublishedSplit, patients: Collection[str]) -> None:
    """Raise PancextError where a fold has nothing to train on, or nothing to validate on."""
    for number, fold in enumerate(folds):
        empty = [part for part in ("train", "val") if not fold[part]]
        if empty:
            raise PancextError(
                f"the split {split.name} is of {split.layout}, with patients like {min(split.patients)}; of "
                f"fold {number} no case for {empty[0]} is there, the patients that are there are like "
                f"{min(patients, default='none')}. Download what is missing, or take another split."
            )


def _one_case_each(of: Mapping[str, str]) -> bool:
    return len(set(of.values())) == len(of)


def require_count(usable: int, *, counts: tuple[int, int], left_out: int = 0, what: str = "cases") -> None:
    """Raise PancextError unless so many usable cases (or `what` else) are what the two counts add up to."""
    training, test = counts
    if usable == training + test:
        return
    fits = f"--split {usable - test}/{test}" if usable > test else f"--split {NNUNET_SPLIT}"
    missing = f" ({left_out} left out as bad)" if left_out else ""
    raise PancextError(
        f"--split {training}/{test} needs {training + test} usable {what}, there are {usable}{missing}. "
        f"With these {what} {fits} fits."
    )


def five_folds(training_ids: Sequence[str]) -> Folds | None:
    """Return the folds nnU-Net makes by default of these cases, None when they are too few for five."""
    return _folds_of(training_ids, count=FOLDS) if len(training_ids) >= FOLDS else None


def _folds_of(ids: Collection[str], *, count: int) -> Folds:
    from nnunetv2.utilities.crossval_split import generate_crossval_split

    folds = generate_crossval_split(sorted(ids), seed=SPLIT_SEED, n_splits=count)
    return [{part: [str(one) for one in fold[part]] for part in ("train", "val")} for fold in folds]


def patient_folds(training_ids: Sequence[str], of: Mapping[str, str]) -> Folds | None:
    """Return nnU-Net's folds made of patients instead of cases: five, or as many as there are patients.

    None where each case is a patient, so that nnU-Net makes them by itself, and where there is one patient.
    """
    people = {of[one] for one in training_ids}
    if _one_case_each(of) or len(people) < 2:
        return None
    return [
        {part: [one for one in training_ids if of[one] in set(fold[part])] for part in ("train", "val")}
        for fold in _folds_of(people, count=min(FOLDS, len(people)))
    ]


def why_no_folds(split: Split, *, patients: Mapping[str, str]) -> str:
    """Tell why the training cases have no folds; empty where they have some.

    `patients` are those of each case.
    """
    count = len(split.training)
    people = {patients.get(one, one) for one in split.training}
    if split.folds:
        return ""
    if len(people) == 1 < count:
        return (
            f"all {count} training cases are of one patient, {people.pop()}, so no fold may be made of them; "
            "train with fold 'all'"
        )
    if count < FOLDS:
        return f"{count} training cases are too few for {FOLDS} folds; train with fold 'all'"
    return ""


def split_document(split: Split, *, patients: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of split.json, which tells of the folds also where nnU-Net needs no file.

    `patients` are those of each case; they are listed where they are not the cases.
    """
    document: dict[str, Any] = {
        "name": split.name,
        "source": split.source,
        "seed": SPLIT_SEED,
        "training": list(split.training),
        "test": list(split.test),
    }
    named = {one: patients[one] for one in (*split.training, *split.test) if patients.get(one, one) != one}
    if named:
        document["patients"] = named
    if note := why_no_folds(split, patients=patients):
        document["folds_note"] = note
    else:
        document["folds"] = split.folds or five_folds(split.training)
    return document
