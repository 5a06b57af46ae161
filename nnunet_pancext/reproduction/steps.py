"""The steps of a protocol: the command of each, and whether its result is there already."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_json
from nnunet_pancext.nnunet_commands.progress import TrainingProgress, planning_progress
from nnunet_pancext.nnunet_files.splits_final import holds
from nnunet_pancext.reproduction.places import path
from nnunet_pancext.reproduction.protocol import Dataset

PLANS = "nnUNetPlans"
ENDING = ".nii.gz"
MOST_REMARKS = 20
Progress = Callable[[str], str | None]


@dataclass(frozen=True, kw_only=True)
class Step(ABC):
    """A command, `words`, whose paths may start with one of nnU-Net's variables, and its `result`."""

    title: str
    words: tuple[str, ...]
    result: str

    @abstractmethod
    def is_finished(self) -> bool:
        """Say whether the result is there, whole."""

    def prepare(self) -> tuple[str, ...]:
        """Make ready to go on where an earlier run stopped, and return the command that does."""
        return self.words

    def progress(self) -> Progress | None:
        """Return what condenses the command's output for the console."""
        return None

    def remarks(self) -> list[str]:
        """Return what must be known of the finished result."""
        return []


@dataclass(frozen=True, kw_only=True)
class Conversion(Step):
    """The download becomes a raw dataset; `pancext convert` publishes it whole or not at all."""

    dataset: Dataset

    def remarks(self) -> list[str]:
        """Return what the conversion left out, warned of or noted: the test set may lack some cases."""
        report = _record(path(self.result))
        problems = [
            f"{kind}: {problem.get('case')}: {problem.get('message')}"
            for kind, name in (("left out", "left_out"), ("warning", "warnings"))
            for problem in report.get(name, [])
        ]
        shown = problems[:MOST_REMARKS]
        if len(problems) > len(shown):
            shown.append(f"and {len(problems) - len(shown)} more, all in {self.result}")
        return [*shown, *(f"note: {note}" for note in report.get("notes", []))]

    def is_finished(self) -> bool:
        """Say whether the dataset is there; PancextError where it is one of another split or other labels."""
        report = path(self.result)
        if not report.is_file():
            return False
        options = _record(report).get("options", {})
        found = options.get("split"), options.get("labels")
        if found != (self.dataset.split, self.dataset.labels):
            raise PancextError(
                f"{report.parent} was converted with split {found[0]} and labels {found[1]}, but the paper's "
                f"are {self.dataset.split} and {self.dataset.labels}. Move that dataset away and run again."
            )
        return True

    def prepare(self) -> tuple[str, ...]:
        """Return the command; PancextError where the download was not given."""
        unknown = [word for word in self.words if word in placeholders(self.dataset)]
        if unknown:
            named = " ".join(f"{name}=PATH" for name in self.dataset.downloads)
            raise PancextError(
                f"{self.dataset.title}: not converted yet, and its download is not given. "
                f"Give it with --source {named}"
            )
        return self.words


@dataclass(frozen=True, kw_only=True)
class FoldsPlacing(Step):
    """The split's own folds, told in `split` of the raw dataset, are put where nnU-Net reads them."""

    split: str

    def is_finished(self) -> bool:
        """Say whether the folds are there; PancextError where they are others."""
        placed, split = path(self.result), path(self.split)
        if not placed.is_file() or not split.is_file():
            return False
        if not holds(placed, _record(split).get("folds", [])):
            raise PancextError(
                f"{placed} holds other folds than {split}, the paper's. Move it away, and what was trained "
                "on it, and run again."
            )
        return True


@dataclass(frozen=True, kw_only=True)
class Planning(Step):
    """nnU-Net plans and preprocesses; killed half-way it starts anew."""

    dataset: Dataset
    configuration: str

    def is_finished(self) -> bool:
        """Say whether the plans are there and every training case is preprocessed."""
        plans = path(self.result)
        if not plans.is_file():
            return False
        configuration = _record(plans).get("configurations", {}).get(self.configuration, {})
        folder = plans.parent / configuration.get("data_identifier", "")
        done = {file.name.removesuffix(".pkl") for file in folder.glob("*.pkl")}
        return bool(done) and done >= cases(path(f"$nnUNet_raw/{self.dataset.folder}/labelsTr"))

    def progress(self) -> Progress | None:
        """Return the names of the stages."""
        return planning_progress


@dataclass(frozen=True, kw_only=True)
class Training(Step):
    """A fold is trained and validated."""

    trainer: str
    num_epochs: int

    @property
    def folder(self) -> Path:
        """The fold's folder."""
        return path(self.result)

    def is_finished(self) -> bool:
        """Say whether the fold was trained and validated to the end."""
        return self._has_checkpoint("final") and (self.folder / "validation" / "summary.json").is_file()

    def prepare(self) -> tuple[str, ...]:
        """Return the command, with --val where only the validation lacks, with --c to continue a training.

        A checkpoint that a kill left half-written is put aside, so that nnU-Net takes the one before.
        """
        for file in self.folder.glob("checkpoint_*.pth"):
            if not zipfile.is_zipfile(file):
                file.rename(file.with_name(f"{file.name}.broken"))
        if self._has_checkpoint("final"):
            return (*self.words, "--val")
        if self._has_checkpoint("latest") or self._has_checkpoint("best"):
            return (*self.words, "--c")
        return self.words

    def progress(self) -> Progress | None:
        """Return a line per epoch."""
        return TrainingProgress(self.num_epochs)

    def _has_checkpoint(self, kind: str) -> bool:
        return zipfile.is_zipfile(self.folder / f"checkpoint_{kind}.pth")


@dataclass(frozen=True, kw_only=True)
class Prediction(Step):
    """The test cases are predicted. Predictions older than the `checkpoints` are of another training."""

    trainer: str
    dataset: Dataset
    probabilities: bool
    checkpoints: tuple[str, ...]

    def is_finished(self) -> bool:
        """Say whether there is a whole prediction of every test case."""
        wanted = cases(path(f"$nnUNet_raw/{self.dataset.folder}/labelsTs"))
        return bool(wanted) and wanted <= self._whole()

    def prepare(self) -> tuple[str, ...]:
        """Remove what a kill left half-written or is outdated; return the command that adds the others."""
        folder = Path(self.result)
        whole = self._whole()
        for case in cases(folder) - whole:
            (folder / f"{case}{ENDING}").unlink()
        return (*self.words, "--continue_prediction") if whole else self.words

    def progress(self) -> Progress | None:
        """Return the names of the cases."""
        return lambda line: line.rstrip(":").lower() if line.startswith("Predicting ") else None

    def _whole(self) -> set[str]:
        folder = Path(self.result)
        models = [path(name) for name in self.checkpoints]
        trained = max((file.stat().st_mtime for file in models if file.is_file()), default=0.0)
        return {
            case
            for case in cases(folder)
            if (folder / f"{case}{ENDING}").stat().st_mtime >= trained
            and is_whole(folder / f"{case}{ENDING}")
            and (not self.probabilities or (folder / f"{case}.npz").is_file())
        }


@dataclass(frozen=True, kw_only=True)
class Evaluation(Step):
    """The predictions are scored."""

    predictions: str

    def is_finished(self) -> bool:
        """Say whether there are scores, of the predictions as they are."""
        summary = Path(self.result)
        if not summary.is_file():
            return False
        scored = summary.stat().st_mtime
        return all(file.stat().st_mtime <= scored for file in Path(self.predictions).glob(f"*{ENDING}"))


def placeholders(dataset: Dataset) -> tuple[str, ...]:
    """Return what stands in a command for the downloads that were not given."""
    return tuple(f"{name.upper().replace('-', '_')}_DOWNLOAD" for name in dataset.downloads)


def cases(folder: Path) -> set[str]:
    """Return the cases that have a label map in the folder; none where there is no such folder."""
    return {
        file.name.removesuffix(ENDING) for file in folder.glob(f"*{ENDING}") if not file.name.startswith(".")
    }


def is_whole(file: Path) -> bool:
    """Say whether a compressed file can be read to its end."""
    try:
        with gzip.open(file) as stream:
            while stream.read(1 << 20):
                pass
    except (OSError, EOFError, zlib.error):
        return False
    return True


def _record(file: Path) -> dict:
    return read_json(file, expect=dict, remedy="Remove it and run again.")
