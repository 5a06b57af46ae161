"""Whom a case shows, told by its name."""

from __future__ import annotations

import re

from nnunet_pancext.errors import PancextError

FRAME = re.compile(r"(.+?)_frame\d+")  # of one patient, as in ACDC


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
