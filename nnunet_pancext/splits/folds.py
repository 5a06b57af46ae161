"""Folds for cross-validation: nnU-Net's own, the same by patient, and published ones."""

from collections.abc import Collection, Mapping, Sequence

from nnunet_pancext.errors import PancextError
from nnunet_pancext.nnunet_files.splits_final import Folds
from nnunet_pancext.splits.published import PublishedSplit

SPLIT_SEED = 12345
FOLDS = 5


def nnunet_folds(names: Collection[str], *, count: int = FOLDS) -> Folds | None:
    """Return the folds nnU-Net makes of the names by default, None where they are fewer than `count`."""
    from nnunetv2.utilities.crossval_split import generate_crossval_split

    if len(names) < count:
        return None
    folds = generate_crossval_split(sorted(names), seed=SPLIT_SEED, n_splits=count)
    return [{part: [str(name) for name in fold[part]] for part in ("train", "val")} for fold in folds]


def patient_folds(training: Sequence[str], patients: Mapping[str, str]) -> Folds | None:
    """Return nnU-Net's folds made of patients instead of cases: five, or one per patient if there are fewer.

    None where each case is a patient, so that nnU-Net makes them by itself, and for a single patient.
    """
    trained_on = {patients[case] for case in training}
    if is_one_case_each(patients) or len(trained_on) < 2:
        return None
    return [
        {part: cases_of(fold[part], {case: patients[case] for case in training}) for part in ("train", "val")}
        for fold in nnunet_folds(trained_on, count=min(FOLDS, len(trained_on))) or []
    ]


def published_folds(
    split: PublishedSplit, patients: Mapping[str, str], *, may_validate_on_test: bool = False
) -> Folds:
    """Return the folds of a published split for cases with their patients; empty where it has none.

    A split without validation patients has a fold only if `may_validate_on_test`.

    Raises:
        PancextError: a fold has no case to train on, or none to validate on.
    """
    validation = split.val or (split.test if may_validate_on_test else ())
    if split.folds:
        parts = [(split.patients - set(fold), fold) for fold in split.folds]
    else:
        parts = [(set(split.train), validation)] if validation else []
    folds = [{"train": cases_of(train, patients), "val": cases_of(val, patients)} for train, val in parts]
    for number, fold in enumerate(folds):
        if empty := [part for part in ("train", "val") if not fold[part]]:
            raise PancextError(
                f"the split {split.name} is for {split.layout}, with patients like {min(split.patients)}. "
                f"Fold {number} has no case for {empty[0]}; this dataset has patients like "
                f"{min(patients.values(), default='none')}. Download what is missing, or choose another."
            )
    return folds


def cases_of(selected: Collection[str], patients: Mapping[str, str]) -> list[str]:
    """Return the cases whose patient is selected, in the order of `patients`, which maps case to patient."""
    selected = set(selected)
    return [case for case, patient in patients.items() if patient in selected]


def is_one_case_each(patients: Mapping[str, str]) -> bool:
    """Whether every patient has a single case."""
    return len(set(patients.values())) == len(patients)
