"""The steps of a protocol: the command of each, and whether its result exists already."""

from __future__ import annotations

import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_json
from nnunet_pancext.io.label_maps import find_cases
from nnunet_pancext.io.nifti_scan import UnreadableImage, count_non_finite
from nnunet_pancext.nnunet_commands.progress import TrainingProgress, planning_progress
from nnunet_pancext.nnunet_files.folders import expand
from nnunet_pancext.nnunet_files.splits_final import holds
from nnunet_pancext.reproduction.protocol import Dataset

PLANS = "nnUNetPlans"
ENDING = ".nii.gz"
MAX_REMARKS = 20
Progress = Callable[[str], str | None]


@dataclass(frozen=True, kw_only=True)
class Step(ABC):
    """A command, `words`, and its `result`. Paths may start with one of nnU-Net's variables."""

    title: str
    words: tuple[str, ...]
    result: str

    @property
    def result_path(self) -> Path:
        """The result on this machine."""
        return Path(expand(self.result))

    @abstractmethod
    def is_finished(self) -> bool:
        """Whether the result is complete; PancextError where it belongs to another protocol."""

    def prepare(self) -> tuple[str, ...]:
        """Return the command that continues where an earlier run stopped, after removing broken files."""
        return self.words

    def progress(self) -> Progress | None:
        """Return what condenses the command's output for the console."""
        return None

    def remarks(self) -> list[str]:
        """Return what a user must know about the finished result."""
        return []


@dataclass(frozen=True, kw_only=True)
class Conversion(Step):
    """The download becomes a raw dataset; `pancext convert` publishes it complete or not at all."""

    dataset: Dataset

    def is_finished(self) -> bool:
        report = self.result_path
        if not report.is_file():
            return False
        options = _record(report).get("options", {})
        split, labels = options.get("split"), options.get("labels")
        if (split, labels) != (self.dataset.split, self.dataset.labels):
            raise PancextError(
                f"{report.parent} was converted with split {split} and labels {labels}, but the paper's "
                f"are {self.dataset.split} and {self.dataset.labels}. Move that dataset away and run again."
            )
        return True

    def prepare(self) -> tuple[str, ...]:
        if set(placeholders(self.dataset)) & set(self.words):
            sources = " ".join(f"{name}=PATH" for name in self.dataset.downloads)
            raise PancextError(
                f"{self.dataset.title}: not converted yet, and its download is not given. "
                f"Give it with --source {sources}"
            )
        return self.words

    def remarks(self) -> list[str]:
        """Return what the conversion left out, warned of or noted: the test set may lack some cases."""
        report = _record(self.result_path)
        problems = [
            f"{kind}: {problem.get('case')}: {problem.get('message')}"
            for kind, key in (("left out", "left_out"), ("warning", "warnings"))
            for problem in report.get(key, [])
        ]
        if len(problems) > MAX_REMARKS:
            problems[MAX_REMARKS:] = [f"and {len(problems) - MAX_REMARKS} more, all in {self.result}"]
        return [*problems, *(f"note: {note}" for note in report.get("notes", []))]


@dataclass(frozen=True, kw_only=True)
class FoldsPlacing(Step):
    """The published folds, in the raw dataset's `split`, are copied to where nnU-Net reads them."""

    split: str

    def is_finished(self) -> bool:
        placed, split = self.result_path, Path(expand(self.split))
        if not placed.is_file() or not split.is_file():
            return False
        if not holds(placed, _record(split).get("folds", [])):
            raise PancextError(
                f"{placed} holds other folds than {split}, the paper's. Move it and the models trained on it "
                "away, and run again."
            )
        return True


@dataclass(frozen=True, kw_only=True)
class Planning(Step):
    """nnU-Net plans and preprocesses; interrupted, it starts anew."""

    dataset: Dataset
    configuration: str

    def is_finished(self) -> bool:
        plans = self.result_path
        if not plans.is_file():
            return False
        configuration = _record(plans).get("configurations", {}).get(self.configuration, {})
        preprocessed = find_cases(plans.parent / configuration.get("data_identifier", ""), ".pkl")
        return bool(preprocessed) and preprocessed >= label_maps(self.dataset, "labelsTr")

    def progress(self) -> Progress | None:
        return planning_progress


@dataclass(frozen=True, kw_only=True)
class Training(Step):
    """A fold is trained and validated; the result is the fold's folder."""

    trainer: str
    num_epochs: int

    def is_finished(self) -> bool:
        return self._has_checkpoint("final") and (self.result_path / "validation" / "summary.json").is_file()

    def prepare(self) -> tuple[str, ...]:
        """Return the command, with --val where only the validation is missing, with --c to continue.

        A half-written checkpoint is renamed, so that nnU-Net takes the one before.
        """
        for file in self.result_path.glob("checkpoint_*.pth"):
            if not zipfile.is_zipfile(file):
                file.rename(file.with_name(f"{file.name}.broken"))
        if self._has_checkpoint("final"):
            return (*self.words, "--val")
        if self._has_checkpoint("latest") or self._has_checkpoint("best"):
            return (*self.words, "--c")
        return self.words

    def progress(self) -> Progress | None:
        return TrainingProgress(self.num_epochs)

    def _has_checkpoint(self, kind: str) -> bool:
        return zipfile.is_zipfile(self.result_path / f"checkpoint_{kind}.pth")


@dataclass(frozen=True, kw_only=True)
class Prediction(Step):
    """The test cases are predicted; predictions older than the `checkpoints` are outdated."""

    trainer: str
    dataset: Dataset
    probabilities: bool
    checkpoints: tuple[str, ...]

    def is_finished(self) -> bool:
        cases = label_maps(self.dataset, "labelsTs")
        return bool(cases) and cases <= self._complete()

    def prepare(self) -> tuple[str, ...]:
        """Remove half-written and outdated predictions; return the command that adds the missing ones."""
        complete = self._complete()
        for case in find_cases(self.result_path, ENDING) - complete:
            (self.result_path / f"{case}{ENDING}").unlink()
        return (*self.words, "--continue_prediction") if complete else self.words

    def progress(self) -> Progress | None:
        return lambda line: line.rstrip(":").lower() if line.startswith("Predicting ") else None

    def _complete(self) -> set[str]:
        folder = self.result_path
        models = [Path(expand(name)) for name in self.checkpoints]
        trained_at = max((file.stat().st_mtime for file in models if file.is_file()), default=0.0)
        return {
            case
            for case in find_cases(folder, ENDING)
            if (folder / f"{case}{ENDING}").stat().st_mtime >= trained_at
            and is_readable(folder / f"{case}{ENDING}")
            and (not self.probabilities or (folder / f"{case}.npz").is_file())
        }


@dataclass(frozen=True, kw_only=True)
class Evaluation(Step):
    """The predictions are scored."""

    predictions: str

    def is_finished(self) -> bool:
        if not self.result_path.is_file():
            return False
        scored_at = self.result_path.stat().st_mtime
        return all(file.stat().st_mtime <= scored_at for file in Path(self.predictions).glob(f"*{ENDING}"))


def placeholders(dataset: Dataset) -> tuple[str, ...]:
    """Return the words that stand in a command for downloads that were not given."""
    return tuple(f"{name.upper().replace('-', '_')}_DOWNLOAD" for name in dataset.downloads)


def label_maps(dataset: Dataset, folder: str) -> set[str]:
    """Return the cases of the raw dataset's `folder`."""
    return find_cases(Path(expand(f"$nnUNet_raw/{dataset.folder}/{folder}")), ENDING)


def is_readable(image: Path) -> bool:
    """Whether an image can be read to its end."""
    try:
        count_non_finite(image)
    except UnreadableImage:
        return False
    return True


def _record(file: Path) -> dict:
    return read_json(file, expect=dict, remedy="Remove it and run again.")
