"""Who a case shows: cases of one patient are not independent."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nnunet_pancext.comparison.models import host_root, read_json
from nnunet_pancext.dataset_conversion.split_files import FRAME
from nnunet_pancext.errors import PancextError


def find_patients(dataset: str, cases: Sequence[str], *, patient_regex: str | None = None) -> tuple[str, ...]:
    """Return the patient of each case.

    Told by the first group of `patient_regex`, else by the split.json of a converted raw dataset, else frames
    of one name are of one patient, and otherwise every case is of its own.

    Raises:
        PancextError: the expression does not compile, or finds no patient in a case.
    """
    if patient_regex is not None:
        return tuple(_by_regex(case, patient_regex) for case in cases)
    told = _told(dataset)
    return tuple(str(told.get(case) or _by_name(case)) for case in cases)


def _told(dataset: str) -> dict[str, str]:
    try:
        split = read_json(host_root("nnUNet_raw") / dataset / "split.json")
    except PancextError:
        return {}  # only datasets that `pancext convert` made have one
    patients = split.get("patients") if isinstance(split, dict) else None
    return patients if isinstance(patients, dict) else {}


def _by_name(case: str) -> str:
    frame = FRAME.fullmatch(case)
    return frame[1] if frame else case


def _by_regex(case: str, expression: str) -> str:
    try:
        found = re.search(expression, case)
    except re.error as error:
        raise PancextError(f"--patient-regex {expression!r} is no regular expression: {error}.") from error
    if found is None or not found.groups() or not found[1]:
        raise PancextError(
            f"--patient-regex {expression!r} finds no patient in the case {case!r}. "
            "Its first group must be the patient, as in '(patient[0-9]+)_'."
        )
    return found[1]
