"""The doctor's report: each diagnosis as soon as it is known, and the verdict."""

from __future__ import annotations

from collections.abc import Iterable

from nnunet_pancext.doctor.check import Check, Diagnosis, Status

TITLE_WIDTH = 20
INDENT = " " * len("[ok]  ")


def print_report(checks: Iterable[Check]) -> int:
    """Run the checks, print their diagnoses, and return the number of problems."""
    statuses = []
    for check in checks:
        if check.announcement:
            print(f"{INDENT}{check.announcement}", flush=True)
        for diagnosis in check.diagnoses():
            print(format_diagnosis(diagnosis), flush=True)
            statuses.append(diagnosis.status)
    problems = statuses.count(Status.PROBLEM)
    warnings = _count(statuses.count(Status.WARNING), "warning")
    print(f"\n{_count(problems, 'problem') if problems else 'healthy'}, {warnings}.")
    return problems


def format_diagnosis(diagnosis: Diagnosis) -> str:
    """Return the line of a diagnosis, with the remedy on the next one."""
    line = f"[{diagnosis.status.value}]  {diagnosis.title:<{TITLE_WIDTH}} {diagnosis.found}"
    return f"{line}\n{INDENT}-> {diagnosis.remedy}" if diagnosis.remedy else line


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
