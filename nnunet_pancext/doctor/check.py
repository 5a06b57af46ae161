"""What a check is, what it finds, and running it so that it can never bring the doctor down."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum


class Status(Enum):
    """How a finding is marked in the report."""

    OK = "ok"
    WARNING = "! "
    PROBLEM = "!!"


@dataclass(frozen=True)
class Finding:
    """One line of the report: what was looked at, what was found and, unless all is well, what to do."""

    status: Status
    title: str
    found: str
    remedy: str = ""


def ok(title: str, found: str) -> Finding:
    """Return a finding that needs no action."""
    return Finding(Status.OK, title, found)


def warning(title: str, found: str, remedy: str) -> Finding:
    """Return a finding with which nnU-Net works, but not well."""
    return Finding(Status.WARNING, title, found, remedy)


def problem(title: str, found: str, remedy: str) -> Finding:
    """Return a finding with which nnU-Net or this package does not work."""
    return Finding(Status.PROBLEM, title, found, remedy)


@dataclass(frozen=True)
class Check:
    """A function that yields findings; `announcement` is shown before one that takes its time."""

    name: str
    look: Callable[[], Iterable[Finding]]
    announcement: str = ""


def findings_of(check: Check) -> Iterator[Finding]:
    """Yield what `check` finds; an unexpected error in it becomes a problem that names it."""
    try:
        yield from check.look()
    except Exception as error:
        yield problem(
            check.name,
            f"the check itself failed: {one_line(error)}",
            "Put right what else is reported and try again; if it stays, report this line as a bug.",
        )


def one_line(error: BaseException) -> str:
    """Return the kind of `error` and the last line of its message, which tells most."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[-1].strip()}" if lines else type(error).__name__
