"""A campaign without nnU-Net: its steps are done where a file of theirs is there."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from nnunet_pancext.campaign.changes import place_of
from nnunet_pancext.campaign.definition import Campaign
from nnunet_pancext.campaign.measured import Measured, measured_training
from nnunet_pancext.campaign.record import Attempt, Begun, Record, cancel_file, log_file, write_record
from nnunet_pancext.campaign.settings import Settings
from nnunet_pancext.campaign.step import Step
from nnunet_pancext.nnunet_files.folders import DUTIES

STARTED = 1_790_000_000.0  # seconds since the epoch
HOUR = 3600.0
PREPROCESS, TRAIN_0, TRAIN_1 = range(3)  # the first steps of a `made_campaign`


@dataclass(frozen=True, kw_only=True)
class MadeStep(Step):
    """A step that is done where its result, a file, is there."""

    kind: ClassVar[str] = "made"

    dataset: str = ""

    @property
    def title(self) -> str:
        return f"make {self.name}"

    def result(self, folder: Path) -> Path:
        return folder / "outputs" / self.name

    def is_done(self, folder: Path) -> bool:
        return self.result(folder).is_file()

    def command(self, folder: Path) -> list[str]:
        return ["true"]


@dataclass(frozen=True, kw_only=True)
class MadeTraining(MadeStep):
    """A training that has nothing but its log."""

    kind: ClassVar[str] = "train"

    configuration: str
    fold: str
    trainer: str
    plans: str = "nnUNetPlans"

    @property
    def title(self) -> str:
        return f"train {self.trainer}, fold {self.fold}"

    def fold_folder(self, folder: Path) -> Path:
        model = f"{self.trainer}__{self.plans}__{self.configuration}"
        return folder / "results" / self.dataset / model / f"fold_{self.fold}"

    def measured(self, folder: Path) -> Measured | None:
        return measured_training(self.fold_folder(folder))


def made_campaign(
    folder: Path, *, datasets: Sequence[str] = ("007",), trainers: Sequence[str] = ("A",), folds: int = 2
) -> Campaign:
    """Return preprocess, train, best and compare of each dataset; nothing is written."""
    steps: list[MadeStep] = []
    for dataset in datasets:
        prepared = MadeStep(name=f"preprocess-{dataset}-nnUNetPlans-3d_fullres", dataset=dataset)
        steps.append(prepared)
        bests = []
        for trainer in trainers:
            trainings = [
                MadeTraining(
                    name=f"train-{dataset}-{trainer}-nnUNetPlans-3d_fullres-{fold}",
                    needs=(prepared.name,),
                    dataset=dataset,
                    configuration="3d_fullres",
                    fold=str(fold),
                    trainer=trainer,
                )
                for fold in range(folds)
            ]
            needs = tuple(step.name for step in trainings)
            bests.append(MadeStep(name=f"best-{dataset}-{trainer}", needs=needs, dataset=dataset))
            steps += [*trainings, bests[-1]]
        needs = tuple(step.name for step in bests)
        steps.append(MadeStep(name=f"compare-{dataset}", needs=needs, dataset=dataset))
    folders = {
        variable: str(folder / variable)
        for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
    }
    return Campaign(device="cpu", seed=0, folders=folders, versions={}, steps=tuple(steps))


def training_of(campaign: Campaign, number: int) -> MadeTraining:
    """Return a step that is a training."""
    step = campaign.steps[number]
    assert isinstance(step, MadeTraining)
    return step


def attempt(outcome: str | None, *, hours: float = 1.0, after: float = 0.0, **others: object) -> Attempt:
    """Return an attempt that began `after` hours and took `hours`; without an outcome it has no end."""
    started = STARTED + after * HOUR
    entries = {
        "place": "local",
        "host": "node1",
        "pid": 4711,
        "started": started,
        "ended": None if outcome is None else started + hours * HOUR,
        "exit_code": {"done": 0, "failed": 1}.get(str(outcome)),
        "outcome": outcome,
        **others,
    }
    return Attempt(**entries)  # type: ignore[arg-type]


def record_begun(
    step: Step,
    folder: Path,
    *,
    options: dict[str, Any] | None = None,
    versions: dict[str, str] | None = None,
    attempts: tuple[Attempt, ...] = (),
) -> Record:
    """Return the record of a step whose outputs were begun with `options`, by default its present ones."""
    settings = Settings(device="cpu", seed=None, folders={name: str(folder / name) for name in DUTIES})
    begun = Begun(options=step.options() if options is None else options, versions=versions or {})
    return Record(attempts=attempts, begun={place_of(step, settings, folder): begun})


def record_attempts(folder: Path, step: Step, *attempts: Attempt) -> None:
    """Write the record of a step, and what a step of the last outcome leaves behind."""
    write_record(folder, step.name, record_begun(step, folder, attempts=attempts))
    if attempts[-1].outcome == "done":
        step.result(folder).parent.mkdir(exist_ok=True)
        step.result(folder).touch()
    if attempts[-1].outcome == "cancelled":
        cancel_file(folder, step.name).touch()


def write_log(folder: Path, step: Step, text: str) -> None:
    """Write the log of a step's command."""
    log = log_file(folder, step.name)
    log.parent.mkdir(exist_ok=True)
    log.write_text(text, encoding="utf-8")


def write_training_log(
    fold: Path, *, epochs: int, planned: int | None, seconds: float = 60.0, dice: float = 0.8
) -> None:
    """Write what nnU-Net does of a training after some epochs; its Dice grows towards `dice`."""
    fold.mkdir(parents=True, exist_ok=True)
    lines = []
    for epoch in range(epochs):
        now = dice * (1 - 0.9 ** (1 + 100 * epoch / (planned or epochs)))
        lines += [
            f"Epoch {epoch}",
            "Current learning rate: 0.01",
            "train_loss -0.5",
            "val_loss -0.4",
            f"Pseudo dice [np.float32({now:.4f})]",
            f"Epoch time: {seconds} s",
        ]
    text = "\n".join(f"2026-11-27 04:00:00.000000: {line}" for line in lines)
    (fold / "training_log_2026_11_27_04_00_00.txt").write_text(text, encoding="utf-8")
    if planned is not None:
        (fold / "debug.json").write_text(json.dumps({"num_epochs": str(planned)}), encoding="utf-8")
