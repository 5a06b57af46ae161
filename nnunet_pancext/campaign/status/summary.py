"""Where a campaign is: a row for each step, and what they add up to."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nnunet_pancext.campaign.measured import Measured
from nnunet_pancext.campaign.record import Record
from nnunet_pancext.campaign.state import (
    CANCELLED,
    CHANGED,
    DONE,
    FAILED,
    INTERRUPTED,
    READY,
    RUNNING,
    UNCLEAR,
    WAITING,
)
from nnunet_pancext.campaign.status.words import attempts_text, hours_text, joined
from nnunet_pancext.campaign.step import Step
from nnunet_pancext.io.console_text import counted

QUEUED = "queued"  # in Slurm's queue, beside the states of `state`
# From the best to the worst.
STATES = (DONE, RUNNING, QUEUED, READY, WAITING, INTERRUPTED, CANCELLED, CHANGED, FAILED, UNCLEAR)
TRAIN = "train"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A step's state, in words too; `alike` is what rows that may be folded share, `log` its last lines.

    `is_whole`: its outputs are there, though something that it needs is not done.
    """

    step: Step
    state: str
    details: str
    alike: str = ""
    is_whole: bool = False
    record: Record = field(default_factory=Record)
    measured: Measured | None = None
    log: Sequence[str] = ()

    @property
    def attempts(self) -> str:
        """How the attempts ended; empty for fewer than two."""
        return attempts_text(self.record)

    @property
    def dataset(self) -> str:
        """The dataset's number or name; empty for a step without this entry."""
        return str(getattr(self.step, "dataset", ""))


@dataclass(frozen=True, kw_only=True)
class Status:
    """All rows in the order of the plan, whether a `run` is at work, and what could not be read."""

    folder: Path
    rows: Sequence[Row]
    made_at: float
    is_run_under_way: bool = False
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
        """Whether a step runs or is in Slurm's queue, or a `run` is about to start one."""
        return self.is_run_under_way or any(row.state in (RUNNING, QUEUED) for row in self.rows)

    @property
    def by_dataset(self) -> dict[str, list[Row]]:
        """The rows under a heading for each dataset, and one for those of several.

        A step without a dataset of its own is of that of the steps it needs, if that is a single one.
        """
        datasets: dict[str, str] = {}
        groups: dict[str, list[Row]] = {}
        for row in self.rows:
            of_needs = {datasets.get(need, "") for need in row.step.needs}
            dataset = row.dataset or (of_needs.pop() if len(of_needs) == 1 else "")
            datasets[row.step.name] = dataset
            name = dataset if dataset.startswith("Dataset") else f"Dataset {dataset}"
            groups.setdefault(name if dataset else "All datasets", []).append(row)
        return groups

    @property
    def trainings_left(self) -> list[Row]:
        """The trainings whose outputs are not there."""
        return [row for row in self.rows if row.step.kind == TRAIN and row.state != DONE and not row.is_whole]

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
