"""Where a campaign is: a row for each step, from its record, lease, queue, log and outputs. Read only."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nnunet_pancext.campaign.definition import Campaign
from nnunet_pancext.campaign.log_tail import last_lines, last_progress
from nnunet_pancext.campaign.measured import Measured
from nnunet_pancext.campaign.record import Record, cancel_file, log_file
from nnunet_pancext.campaign.slurm_queue import QueueState, job_log, queue_states, submissions_file
from nnunet_pancext.campaign.state import (
    CANCELLED,
    CHANGED,
    DONE,
    FAILED,
    INTERRUPTED,
    READY,
    RUNNING,
    WAITING,
    StepState,
    step_state,
)
from nnunet_pancext.campaign.status_words import (
    attempts_text,
    done_text,
    ended_text,
    hours_text,
    joined,
    running_text,
    waiting_text,
)
from nnunet_pancext.campaign.step import Step
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import counted

QUEUED, UNCLEAR = "queued", "unclear"  # beside the states of `state`: in Slurm's queue, and unreadable
# From the best to the worst.
STATES = (DONE, RUNNING, QUEUED, READY, WAITING, INTERRUPTED, CANCELLED, CHANGED, FAILED, UNCLEAR)
TRAIN = "train"
LOG_LINES = 8  # of a failed step


@dataclass(frozen=True, kw_only=True)
class Row:
    """A step's state, in words too; `alike` is what rows that may be folded share, `log` its last lines."""

    step: Step
    state: str
    details: str
    alike: str = ""
    record: Record = field(default_factory=Record)
    measured: Measured | None = None
    log: Sequence[str] = ()

    @property
    def attempts(self) -> str:
        """How the attempts ended; empty for fewer than two."""
        return attempts_text(self.record)

    @property
    def dataset(self) -> str:
        """The dataset's number or name; empty for a step of several."""
        return str(getattr(self.step, "dataset", ""))


@dataclass(frozen=True, kw_only=True)
class Status:
    """All rows in the order of the plan, and what could not be read."""

    folder: Path
    rows: Sequence[Row]
    made_at: float
    problems: Sequence[str] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Number of steps by state, from the best to the worst, without states that none has."""
        counter = Counter(row.state for row in self.rows)
        return {state: counter[state] for state in STATES if counter[state]}

    @property
    def is_done(self) -> bool:
        """Whether every step is done."""
        return all(row.state == DONE for row in self.rows)

    @property
    def is_active(self) -> bool:
        """Whether a step runs or is in Slurm's queue."""
        return any(row.state in (RUNNING, QUEUED) for row in self.rows)

    @property
    def by_dataset(self) -> dict[str, list[Row]]:
        """The rows under a heading for each dataset, and one for those of several."""
        groups: dict[str, list[Row]] = {}
        for row in self.rows:
            name = row.dataset if row.dataset.startswith("Dataset") else f"Dataset {row.dataset}"
            groups.setdefault(name if row.dataset else "All datasets", []).append(row)
        return groups

    @property
    def trainings_left(self) -> list[Row]:
        """The trainings that are not done."""
        return [row for row in self.rows if row.step.kind == TRAIN and row.state != DONE]

    def summary(self) -> list[str]:
        """Return the number of steps in each state, and the trainings and time left."""
        others = [f"{number} {state}" for state, number in reversed(self.counts.items()) if state != DONE]
        done = f"{self.counts.get(DONE, 0)} of {counted(len(self.rows), 'step')} done"
        lines = [joined(done, ", ".join(others)) + "."]
        if left := self.trainings_left:
            number = sum(row.step.kind == TRAIN for row in self.rows)
            lines.append(f"{len(left)} of {counted(number, 'training')} left{self.time_left()}.")
        return lines

    def time_left(self) -> str:
        """Return the estimated time of the trainings left, to be appended to their number."""
        left = self.trainings_left
        seconds = [known for row in left if (known := self.seconds_left(row)) is not None]
        unknown = len(left) - len(seconds)
        if not seconds:
            return ", of unknown duration"
        of_unknown = f", and {counted(unknown, 'training')} of unknown duration" if unknown else ""
        return f": {hours_text(sum(seconds))} of epochs one after another{of_unknown}"

    def seconds_left(self, row: Row) -> float | None:
        """Return the estimated time of the epochs to go, by those of the training or of another fold."""
        if row.measured is not None and row.state != CHANGED:
            return row.measured.seconds_left
        for other in self.rows:
            if other.measured and other.measured.seconds_in_all and _differ_in_fold(other.step, row.step):
                return other.measured.seconds_in_all
        return None


def _differ_in_fold(one: Step, other: Step) -> bool:
    return one.kind == other.kind and {**one.options(), "fold": ""} == {**other.options(), "fold": ""}


def read_status(campaign: Campaign, folder: Path) -> Status:
    """Return where the campaign in `folder` is; its environment variables must be set."""
    problems: list[str] = []
    of_steps = _step_states(campaign, folder)
    queue = _queue(folder, problems)
    may_be_lost = not problems and submissions_file(folder).is_file()
    rows = []
    states = {
        name: QUEUED if name in queue and of_step.state not in (DONE, RUNNING) else of_step.state
        for name, of_step in of_steps.items()
    }
    for name, of_step in of_steps.items():
        job = job_log(folder, name) if may_be_lost else None
        rows.append(_row(of_step, states, queue.get(name), folder=folder, job_log=job))
    return Status(folder=folder, rows=rows, made_at=time.time(), problems=problems)


def _step_states(campaign: Campaign, folder: Path) -> dict[str, StepState]:
    """Return the state of each step, UNCLEAR where its files cannot be read."""
    states: dict[str, StepState] = {}
    for step in campaign.steps:
        done, changed = (
            [name for name, before in states.items() if before.state == state] for state in (DONE, CHANGED)
        )
        try:
            states[step.name] = step_state(step, folder, done=done, changed=changed)
        except (PancextError, OSError, ValueError) as error:
            states[step.name] = StepState(step=step, state=UNCLEAR, record=Record(), note=str(error))
    return states


def _queue(folder: Path, problems: list[str]) -> dict[str, QueueState]:
    try:
        return queue_states(folder)
    except (PancextError, OSError, ValueError) as error:
        problems.append(f"The steps in Slurm's queue are not known: {error}")
        return {}


def _row(
    of_step: StepState,
    states: Mapping[str, str],
    queued: QueueState | None,
    *,
    folder: Path,
    job_log: Path | None,
) -> Row:
    step, record, state = of_step.step, of_step.record, states[of_step.step.name]
    log = log_file(folder, step.name)
    measured, problem, alike = None, "", ""
    if step.kind == TRAIN or (record.attempts and state != DONE):
        try:
            measured = step.measured(folder)
        except (PancextError, OSError, ValueError) as error:
            problem = str(error)
    if state == DONE:
        details = done_text(record)
    elif state == RUNNING:
        progress = "" if measured else last_progress(log, step.progress())
        details = running_text(record, of_step.owner, measured, progress)
        if cancel_file(folder, step.name).exists():
            details = f"is being cancelled; {details}"
    elif state == QUEUED and queued is not None:
        alike = joined(queued.state.lower(), queued.reason and f"({queued.reason})", by=" ")
        details = f"job {queued.job}, {alike}"
    elif state == WAITING:
        details = alike = waiting_text(step, states)
    elif state == READY and not record.attempts and job_log is not None and job_log.is_file():
        details = f"its Slurm job ended before it ran; see {job_log}"
    elif state == READY and not record.attempts:
        details = alike = "can start"
    else:
        is_known = record.last is not None and of_step.note == record.last.message
        details = joined("" if is_known else of_step.note, ended_text(record, measured))
    return Row(
        step=step,
        state=state,
        details=joined(details, problem),
        alike=alike,
        record=record,
        measured=measured,
        log=last_lines(log, LOG_LINES) if state == FAILED else (),
    )
