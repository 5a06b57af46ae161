"""A check, its diagnoses, and their report; a check that fails never stops the doctor."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import partial

TITLE_WIDTH = 20
INDENT = " " * len("[ok]  ")


class Status(Enum):
    """The mark of a diagnosis in the report."""

    OK = "ok"
    WARNING = "! "  # nnU-Net works, but not well
    PROBLEM = "!!"  # nnU-Net or this package does not work


@dataclass(frozen=True)
class Diagnosis:
    """One line of the report: what was checked, the result and, unless all is well, a remedy."""

    status: Status
    title: str
    found: str
    remedy: str = ""


ok, warning, problem = (partial(Diagnosis, status) for status in Status)


@dataclass(frozen=True)
class Check:
    """A function that yields diagnoses; a slow one prints `announcement` first."""

    name: str
    look: Callable[[], Iterable[Diagnosis]]
    announcement: str = ""

    def diagnoses(self) -> Iterator[Diagnosis]:
        """Yield the diagnoses; an unexpected error becomes a problem that names it."""
        try:
            yield from self.look()
        except Exception as error:
            yield problem(
                self.name,
                f"the check itself failed: {one_line(error)}",
                "Fix the other problems and try again; if it persists, report this line as a bug.",
            )


def print_report(checks: Iterable[Check]) -> int:
    """Run the checks, print each diagnosis as soon as it is known, and return the number of problems."""
    statuses = []
    for check in checks:
        if check.announcement:
            print(f"{INDENT}{check.announcement}", flush=True)
        for diagnosis in check.diagnoses():
            print(f"[{diagnosis.status.value}]  {diagnosis.title:<{TITLE_WIDTH}} {diagnosis.found}")
            print(f"{INDENT}-> {diagnosis.remedy}\n" if diagnosis.remedy else "", end="", flush=True)
            statuses.append(diagnosis.status)
    problems = statuses.count(Status.PROBLEM)
    warnings = _count(statuses.count(Status.WARNING), "warning")
    print(f"\n{_count(problems, 'problem') if problems else 'healthy'}, {warnings}.")
    return problems


def one_line(error: BaseException) -> str:
    """Return the type of `error` and the last line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[-1].strip()}" if lines else type(error).__name__


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
