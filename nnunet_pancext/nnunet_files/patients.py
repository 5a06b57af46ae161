"""The patient of each case: cases of one patient are not independent."""

import re
from collections.abc import Mapping
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_json

FRAME = re.compile(r"(.+?)_frame\d+")  # ACDC has several frames of a patient


def patient_of(case: str, *, told: Mapping[str, str], expression: str | None = None) -> str:
    """Return the patient of a case by `--patient-regex`, else as recorded in split.json, else by its name.

    Frames with one name share a patient, other cases are patients of their own. PancextError where the
    expression does not compile, or its first group matches no patient.
    """
    if expression is None:
        frame = FRAME.fullmatch(case)
        return str(told.get(case) or (frame[1] if frame else case))
    try:
        match = re.search(expression, case)
    except re.error as error:
        raise PancextError(
            f"--patient-regex {expression!r} is not a regular expression: {error}. Correct it."
        ) from error
    if match is None or not match.groups() or not match[1]:
        raise PancextError(
            f"--patient-regex {expression!r} finds no patient in the case {case!r}. "
            "Its first group must be the patient, as in '(patient[0-9]+)_'."
        )
    return match[1]


def recorded_patients(split_file: Path) -> dict[str, str]:
    """Return the patients by case recorded in a dataset's split.json, if any."""
    try:
        split = read_json(split_file)
    except PancextError:
        return {}  # only datasets converted by `pancext convert` have one
    patients = split.get("patients") if isinstance(split, dict) else None
    return patients if isinstance(patients, dict) else {}
