"""Whom each case of a trained dataset shows."""

from __future__ import annotations

from collections.abc import Sequence

from nnunet_pancext.errors import PancextError
from nnunet_pancext.nnunet_files.folders import existing_folder
from nnunet_pancext.nnunet_files.patients import patient_of, recorded_patients


def find_patients(dataset: str, cases: Sequence[str], *, patient_regex: str | None = None) -> tuple[str, ...]:
    """Return the patient of each case.

    Told by the first group of `patient_regex`, else by the split.json of a converted raw dataset, else frames
    of one name are of one patient, and otherwise every case is of its own.

    Raises:
        PancextError: the expression does not compile, or finds no patient in a case.
    """
    try:
        told = recorded_patients(existing_folder("nnUNet_raw") / dataset / "split.json")
    except PancextError:
        told = {}  # the raw dataset need not be there any more
    return tuple(patient_of(case, told=told, expression=patient_regex) for case in cases)
