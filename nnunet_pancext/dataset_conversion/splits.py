"""Which cases train and which are held out, always the same for the same cases."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnunet_pancext.errors import PancextError

SPLIT_SEED = 12345
FOLDS = 5
NNUNET_SPLIT = "nnunet"
PUBLISHED_COUNTS = {"257/24", "216/65"}


@dataclass(frozen=True, kw_only=True)
class Split:
    """Case ids, sorted. `name` is what the user asked for, `source` says where the assignment comes from."""

    name: str
    source: str
    training: tuple[str, ...]
    test: tuple[str, ...]


def parse_split(text: str) -> tuple[int, int] | None:
    """Return (training, test) counts of 'A/B', None for 'nnunet'; raises PancextError for anything else."""
    if text == NNUNET_SPLIT:
        return None
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or min(map(int, match.groups())) < 1:
        raise PancextError(
            f"--split must be '{NNUNET_SPLIT}' or two counts like 257/24 (training/test), got {text!r}."
        )
    return int(match[1]), int(match[2])


def make_split(case_ids: Sequence[str], *, name: str, left_out: int = 0) -> Split:
    """Return the split called `name` of the usable cases; `left_out` cases are only mentioned in errors."""
    counts = parse_split(name)
    ids = sorted(case_ids)
    if counts is None:
        source = "all labelled cases train; nnU-Net cross-validates over its own five folds"
        return Split(name=name, source=source, training=tuple(ids), test=())
    require_count(len(ids), counts=counts, left_out=left_out)
    # RandomState's stream is frozen by NumPy's compatibility promise, that of newer generators is not.
    order = np.random.RandomState(SPLIT_SEED).permutation(len(ids))
    test = sorted(ids[index] for index in order[: counts[1]])
    training = sorted(set(ids) - set(test))
    origin = "published by count only, without case ids; " if name in PUBLISHED_COUNTS else ""
    source = (
        f"{origin}drawn by numpy RandomState({SPLIT_SEED}).permutation over the sorted case ids, "
        f"first {counts[1]} held out"
    )
    return Split(name=name, source=source, training=tuple(training), test=tuple(test))


def require_count(usable: int, *, counts: tuple[int, int], left_out: int = 0) -> None:
    """Raise PancextError unless `usable` cases are what the two counts add up to."""
    training, test = counts
    if usable == training + test:
        return
    fits = f"--split {usable - test}/{test}" if usable > test else f"--split {NNUNET_SPLIT}"
    missing = f" ({left_out} left out as bad)" if left_out else ""
    raise PancextError(
        f"--split {training}/{test} needs {training + test} usable cases, there are {usable}{missing}. "
        f"With these cases {fits} fits."
    )


def five_folds(training_ids: Sequence[str]) -> list[dict[str, list[str]]] | None:
    """Return the folds nnU-Net makes by default of these cases, None when they are too few for five."""
    if len(training_ids) < FOLDS:
        return None
    from nnunetv2.utilities.crossval_split import generate_crossval_split

    folds = generate_crossval_split(sorted(training_ids), seed=SPLIT_SEED, n_splits=FOLDS)
    return [{part: [str(case_id) for case_id in fold[part]] for part in ("train", "val")} for fold in folds]


def split_document(split: Split) -> dict[str, Any]:
    """Return the content of split.json. Its folds are those nnU-Net makes by itself; it needs no file."""
    folds = five_folds(split.training)
    document: dict[str, Any] = {
        "name": split.name,
        "source": split.source,
        "seed": SPLIT_SEED,
        "training": list(split.training),
        "test": list(split.test),
    }
    if folds is None:
        document["folds_note"] = (
            f"{len(split.training)} training cases are too few for {FOLDS} folds; train with fold 'all'"
        )
    else:
        document["folds"] = folds
    return document
