"""What happened to a step: `state/STEP.json`, written by the process that runs it, whole or not at all.

Whether a step is done is decided by its outputs, never by this file.
"""

import time
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_json, write_json

FORMAT = 1
STATE, LOGS = "state", "logs"


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One run of a step's command; times are seconds since the epoch.

    `place` is "local" or "slurm", `job` the Slurm job's id, `restarts` how often Slurm requeued it, and `gpu`
    its CUDA_VISIBLE_DEVICES. `outcome` is "done", "failed", "interrupted" or "cancelled", and None while it
    runs and after a kill that nobody could record. `message` is the error that ended it.
    """

    place: str
    host: str
    pid: int
    started: float
    job: str = ""
    restarts: int = 0
    gpu: str = ""
    ended: float | None = None
    exit_code: int | None = None
    outcome: str | None = None
    message: str = ""

    @property
    def seconds(self) -> float | None:
        """How long it took; None without an end."""
        return None if self.ended is None else self.ended - self.started


@dataclass(frozen=True, kw_only=True)
class Begun:
    """With which options and versions the outputs at a place were begun."""

    options: dict[str, Any]
    versions: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Record:
    """The attempts at a step, and what its outputs were begun with, by their place, the latest last.

    There are several places where an entry names the output's: a training's folder has its trainer's name.
    """

    attempts: tuple[Attempt, ...] = ()
    begun: dict[str, Begun] = field(default_factory=dict)

    @property
    def last(self) -> Attempt | None:
        """The latest attempt."""
        return self.attempts[-1] if self.attempts else None

    def with_begun(self, place: str, begun: Begun) -> "Record":
        """Return the record of outputs that are begun now at a place."""
        others = {other: known for other, known in self.begun.items() if other != place}
        return replace(self, begun={**others, place: begun})

    def with_last(self, **changes: Any) -> "Record":
        """Return the record with changes to its latest attempt."""
        return replace(self, attempts=(*self.attempts[:-1], replace(self.attempts[-1], **changes)))


def state_file(folder: Path, step: str) -> Path:
    """Return the file of a step's record."""
    return folder / STATE / f"{step}.json"


def lease_file(folder: Path, step: str) -> Path:
    """Return the file that names the process that runs a step."""
    return folder / STATE / f"{step}.lease"


def folder_lease_file(written: Path) -> Path:
    """Return the file that names the process that writes a folder, beside it."""
    return written.with_name(f".{written.name}.lease")


def cancel_file(folder: Path, step: str) -> Path:
    """Return the file whose existence requests the end of a step."""
    return folder / STATE / f"{step}.cancel"


def retry_file(folder: Path, step: str) -> Path:
    """Return the file that makes a running `run` do a failed step again."""
    return folder / STATE / f"{step}.retry"


def runs_folder(folder: Path) -> Path:
    """Return the folder with a lease of each running `run`, on this machine or others."""
    return folder / STATE / "runs"


def log_file(folder: Path, step: str) -> Path:
    """Return the log of a step; each attempt is appended."""
    return folder / LOGS / f"{step}.txt"


def read_record(folder: Path, step: str) -> Record:
    """Return a step's record; empty where there is none."""
    path = state_file(folder, step)
    if not path.exists():
        return Record()
    remedy = (
        "Remove it: what is done is seen from the outputs. These then count as made with the options that "
        "campaign.toml has now."
    )
    content = read_json(path, expect=dict, remedy=remedy)
    try:
        return Record(
            attempts=tuple(_attempt(attempt) for attempt in content["attempts"]),
            begun={place: _begun(entries) for place, entries in content["begun"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError) as error:
        raise PancextError(f"{path} is not a step's record ({error}). {remedy}") from error


def _begun(content: dict[str, Any]) -> Begun:
    begun = Begun(**content)
    if not isinstance(begun.options, dict) or not isinstance(begun.versions, dict):
        raise TypeError("options or versions are no object")
    return begun


def _attempt(content: dict[str, Any]) -> Attempt:
    attempt = Attempt(**content)
    for entry in fields(Attempt):
        value = getattr(attempt, entry.name)
        is_number = isinstance(value, int) and entry.name in ("started", "ended")
        if not is_number and not isinstance(value, entry.type):  # type: ignore[arg-type]
            raise TypeError(f"{entry.name} is {value!r}")
    for moment in (attempt.started, attempt.ended or 0):
        time.localtime(moment)  # an error for what is no time
    return attempt


def write_record(folder: Path, step: str, record: Record) -> None:
    """Write a step's record."""
    path = state_file(folder, step)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"format": FORMAT, **asdict(record)})
