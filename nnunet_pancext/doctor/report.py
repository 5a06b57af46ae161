"""The doctor's report: a line for each finding as soon as it is known, and the verdict."""

from __future__ import annotations

from collections.abc import Iterable

from nnunet_pancext.doctor.check import Check, Finding, Status, findings_of

TITLE_WIDTH = 20
MARK_WIDTH = len("[ok]  ")
INDENT = " " * MARK_WIDTH


def print_report(checks: Iterable[Check]) -> int:
    """Run the checks, print what they find, and return the number of problems."""
    statuses = []
    for check in checks:
        if check.announcement:
            print(f"{INDENT}{check.announcement}", flush=True)
        for finding in findings_of(check):
            print(format_finding(finding), flush=True)
            statuses.append(finding.status)
    problems = statuses.count(Status.PROBLEM)
    print(f"\n{verdict(problems=problems, warnings=statuses.count(Status.WARNING))}")
    return problems


def format_finding(finding: Finding) -> str:
    """Return the line of a finding, with the remedy on the next one."""
    line = f"[{finding.status.value}]  {finding.title:<{TITLE_WIDTH}} {finding.found}"
    return f"{line}\n{INDENT}-> {finding.remedy}" if finding.remedy else line


def verdict(*, problems: int, warnings: int) -> str:
    """Return the last line of the report."""
    counted = _count(warnings, "warning")
    if problems:
        return f"{_count(problems, 'problem')}, {counted}."
    return f"healthy, {counted}."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
