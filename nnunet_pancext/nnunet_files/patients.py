"""Whom a case shows: cases of one patient are not independent."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from nnunet_pancext.errors import PancextError

FRAME = re.compile(r"(.+?)_frame\d+")  # of one patient, as in ACDC


def patient_of(case: str, *, told: Mapping[str, str], expression: str | None = None) -> str:
    """Return the patient of a case: by `--patient-regex`, else by the split.json or the name.

    Raises:
        PancextError: as `patient_by_regex`.
    """
    if expression is not None:
        return patient_by_regex(case, expression)
    return str(told.get(case) or patient_by_name(case))


def recorded_patients(split_file: Path) -> dict[str, str]:
    """Return the patients by case that a converted dataset's split.json tells; none where it does not."""
    try:
        split = json.loads(split_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # only datasets that `pancext convert` made have one
    patients = split.get("patients") if isinstance(split, dict) else None
    return patients if isinstance(patients, dict) else {}


def patient_by_name(case: str) -> str:
    """Return the patient of a case: frames of one name are of one patient, any other case is of its own."""
    frame = FRAME.fullmatch(case)
    return frame[1] if frame else case


def patient_by_regex(case: str, expression: str) -> str:
    """Return what the first group of `--patient-regex` finds in the name of a case.

    Raises:
        PancextError: the expression does not compile, or finds no patient.
    """
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
