"""A check and its diagnoses; a check that fails never stops the doctor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum


class Status(Enum):
    """The mark of a diagnosis in the report."""

    OK = "ok"
    WARNING = "! "
    PROBLEM = "!!"


@dataclass(frozen=True)
class Diagnosis:
    """One line of the report: what was checked, the result and, unless all is well, a remedy."""

    status: Status
    title: str
    found: str
    remedy: str = ""


def ok(title: str, found: str) -> Diagnosis:
    """Return a diagnosis that needs no action."""
    return Diagnosis(Status.OK, title, found)


def warning(title: str, found: str, remedy: str) -> Diagnosis:
    """Return a diagnosis with which nnU-Net works, but not well."""
    return Diagnosis(Status.WARNING, title, found, remedy)


def problem(title: str, found: str, remedy: str) -> Diagnosis:
    """Return a diagnosis with which nnU-Net or this package does not work."""
    return Diagnosis(Status.PROBLEM, title, found, remedy)


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


def one_line(error: BaseException) -> str:
    """Return the type of `error` and the last line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[-1].strip()}" if lines else type(error).__name__
