"""What the training of a fold writes, and which of it is whole."""

import os
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_json
from nnunet_pancext.io.nifti_scan import count_non_finite
from nnunet_pancext.io.unreadable import NIFTI, UnreadableImage
from nnunet_pancext.nnunet_files.dataset_json import NAME, read_dataset_json
from nnunet_pancext.nnunet_files.folders import RESULTS, set_folder
from nnunet_pancext.nnunet_files.model_folder import ALL, FINAL, ModelName
from nnunet_pancext.nnunet_files.preprocessed import Preprocessed, preprocessed_cases
from nnunet_pancext.nnunet_files.splits_final import SPLITS_FILE, read_folds

NEXT_STAGE_ENDINGS = (".b2nd", ".npz")  # of nnU-Net's two formats of preprocessed cases
BROKEN = ".broken"
PICKLE_END = b"."


@dataclass(frozen=True, kw_only=True)
class TrainedFold:
    """A fold of a trainer with a dataset, given by its folder's name; `fold` is a number or `all`."""

    dataset: str
    trainer: str
    plans: str
    configuration: str
    fold: str

    @property
    def folder(self) -> Path:
        """Where nnU-Net writes it; PancextError where nnUNet_results is not set."""
        model = ModelName(self.trainer, self.plans, self.configuration)
        return set_folder(RESULTS) / self.dataset / str(model) / f"fold_{self.fold}"

    @property
    def checkpoint(self) -> Path:
        """The final checkpoint."""
        return self.folder / FINAL

    @property
    def validation(self) -> Path:
        return self.folder / "validation"

    @property
    def summary(self) -> Path:
        """What nnU-Net writes at the end of the validation."""
        return self.validation / "summary.json"

    @property
    def preprocessed(self) -> Preprocessed:
        """The cases of the fold's configuration."""
        return Preprocessed(dataset=self.dataset, plans=self.plans, configuration=self.configuration)

    @property
    def ending(self) -> str:
        """The suffix of label maps."""
        return read_dataset_json(self.preprocessed.folder / NAME).file_ending

    def validation_cases(self) -> list[str] | None:
        """Return the cases on which the fold is validated; None while the dataset has no folds or plans.

        Raises:
            PancextError: the dataset has folds, but not this one. nnU-Net would make one up at random.
        """
        target = self.preprocessed
        if self.fold == ALL:
            return sorted(preprocessed_cases(target.data)) if target.content else None
        if not self.fold.isdecimal():
            raise PancextError(f"There is no fold {self.fold!r}. Choose a number from 0, or {ALL}.")
        file = target.folder / SPLITS_FILE
        if not file.is_file():
            return None
        folds = read_folds(file)
        if int(self.fold) >= len(folds):
            raise PancextError(
                f"{file} has {len(folds)} folds, and no fold {self.fold}. "
                f"Choose a number from 0 to {len(folds) - 1}, or {ALL}."
            )
        return folds[int(self.fold)]["val"]

    def has_checkpoint(self, name: str) -> bool:
        """Whether a checkpoint is there and was written to its end."""
        return zipfile.is_zipfile(self.folder / name)

    def is_whole(self, *, probabilities: bool, next_stages: Iterable[str] = ()) -> bool:
        """Whether training and validation have ended, with all that was asked for.

        `probabilities` are those of each validation case; `next_stages` are the configurations that train on
        what this fold predicts.
        """
        if not self.has_checkpoint(FINAL):
            return False
        cases = self.validation_cases()
        if not cases or not self.summary.is_file():
            return False
        try:
            read_json(self.summary, expect=dict)
        except PancextError:
            return False
        trained_at = self.checkpoint.stat().st_mtime
        if self.summary.stat().st_mtime < trained_at:
            return False
        names = {path.name for path in self.validation.iterdir()}
        return names.issuperset(
            f"{case}{ending}" for case in cases for ending in self._endings(probabilities)
        ) and all(self._has_next_stage(stage, cases, since=trained_at) for stage in next_stages)

    def _has_next_stage(self, configuration: str, cases: Iterable[str], *, since: float) -> bool:
        """Whether the next stage's inputs are there; nnU-Net's validation skips unpreprocessed cases."""
        folder = self.folder.parent / "predicted_next_stage" / configuration
        files = list(folder.iterdir()) if folder.is_dir() else []
        predicted = {
            path.stem for path in files if path.suffix in NEXT_STAGE_ENDINGS and path.stat().st_mtime >= since
        }
        return predicted.issuperset(cases)

    def whole_predictions(self, cases: Iterable[str], *, probabilities: bool) -> set[str]:
        """Return the validation cases whose files are whole, and not older than the final checkpoint.

        nnU-Net writes them in place. Label maps that are not NIfTI count as incomplete.
        """
        if self.ending not in NIFTI:
            return set()
        trained_at = self.checkpoint.stat().st_mtime
        return {
            case
            for case in cases
            if all(
                _is_whole(self.validation / f"{case}{ending}", since=trained_at)
                for ending in self._endings(probabilities)
            )
        }

    def prepare(self) -> list[str]:
        """Put away what a kill left incomplete, and return the option with which nnU-Net goes on.

        Checkpoints are renamed, so that nnU-Net takes an earlier one. The summary of an earlier validation is
        removed: it would say that the next one is whole from its start.
        """
        for checkpoint in self.folder.glob("checkpoint_*.pth"):
            if not zipfile.is_zipfile(checkpoint):
                os.replace(checkpoint, checkpoint.with_name(checkpoint.name + BROKEN))
        self.summary.unlink(missing_ok=True)
        for file in self.validation.glob("*.npz"):
            if not zipfile.is_zipfile(file):
                file.unlink()
        if self.has_checkpoint(FINAL):
            return ["--val"]
        return ["--c"] if any(self.folder.glob("checkpoint_*.pth")) else []

    def _endings(self, probabilities: bool) -> tuple[str, ...]:
        return (".npz", ".pkl", self.ending) if probabilities else (self.ending,)


def trained_folds(
    dataset: str, models: Iterable[ModelName | str], folds: Sequence[str]
) -> Iterator[TrainedFold]:
    """Yield each fold of some models, given by the names of their folders.

    Raises:
        PancextError: a text is no name of a model.
    """
    for model in models:
        name = ModelName.parse(str(model))
        if name is None:
            raise PancextError(f"{model} is no model. Name it TRAINER__PLANS__CONFIGURATION, as its folder.")
        for fold in folds:
            yield TrainedFold(dataset=dataset, fold=fold, **name._asdict())


def _is_whole(path: Path, *, since: float) -> bool:
    try:
        if path.stat().st_mtime < since:
            return False
        if path.suffix == ".npz":
            return zipfile.is_zipfile(path)
        if path.suffix == ".pkl":
            return path.read_bytes().endswith(PICKLE_END)
        count_non_finite(path)
    except (OSError, UnreadableImage):
        return False
    return True
