"""Who a case shows: cases of one patient are not independent."""

from __future__ import annotations

from collections.abc import Sequence

from nnunet_pancext.comparison.models import host_root, read_json
from nnunet_pancext.dataset_conversion.patient_names import patient_by_name, patient_by_regex
from nnunet_pancext.errors import PancextError


def find_patients(dataset: str, cases: Sequence[str], *, patient_regex: str | None = None) -> tuple[str, ...]:
    """Return the patient of each case.

    Told by the first group of `patient_regex`, else by the split.json of a converted raw dataset, else frames
    of one name are of one patient, and otherwise every case is of its own.

    Raises:
        PancextError: the expression does not compile, or finds no patient in a case.
    """
    if patient_regex is not None:
        return tuple(patient_by_regex(case, patient_regex) for case in cases)
    told = _told(dataset)
    return tuple(str(told.get(case) or patient_by_name(case)) for case in cases)


def _told(dataset: str) -> dict[str, str]:
    try:
        split = read_json(host_root("nnUNet_raw") / dataset / "split.json")
    except PancextError:
        return {}  # only datasets that `pancext convert` made have one
    patients = split.get("patients") if isinstance(split, dict) else None
    return patients if isinstance(patients, dict) else {}
