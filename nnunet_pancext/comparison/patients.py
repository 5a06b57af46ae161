"""The patient of each case."""

from __future__ import annotations

from collections.abc import Sequence

from nnunet_pancext.errors import PancextError
from nnunet_pancext.nnunet_files.folders import RAW, existing_folder
from nnunet_pancext.nnunet_files.raw_dataset import patient_of, recorded_patients


def find_patients(dataset: str, cases: Sequence[str], *, patient_regex: str | None = None) -> tuple[str, ...]:
    """Return the patient of each case.

    It is the first group of `patient_regex`; otherwise it comes from the split.json of a converted raw
    dataset, or from the frame number in the case's name; any other case is a patient of its own.

    Raises:
        PancextError: the expression does not compile, or finds no patient in a case.
    """
    try:
        recorded = recorded_patients(existing_folder(RAW) / dataset / "split.json")
    except PancextError:
        recorded = {}  # the raw dataset may have been deleted
    return tuple(patient_of(case, told=recorded, expression=patient_regex) for case in cases)
