"""What the training of a fold writes, and which of it is whole."""

import os
import zipfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_json
from nnunet_pancext.io.label_maps import find_cases
from nnunet_pancext.io.nifti_scan import count_non_finite
from nnunet_pancext.io.unreadable import NIFTI, UnreadableImage
from nnunet_pancext.nnunet_files.dataset_json import NAME, read_dataset_json
from nnunet_pancext.nnunet_files.folders import PREPROCESSED, RESULTS, existing_folder, nnunet_folder
from nnunet_pancext.nnunet_files.model_folder import ALL, FINAL, ModelName
from nnunet_pancext.nnunet_files.splits_final import SPLITS_FILE, read_folds

SUMMARY = "summary.json"
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
        root = nnunet_folder(RESULTS) or existing_folder(RESULTS)
        model = ModelName(self.trainer, self.plans, self.configuration)
        return root / self.dataset / str(model) / f"fold_{self.fold}"

    @property
    def validation(self) -> Path:
        return self.folder / "validation"

    @property
    def ending(self) -> str:
        """The suffix of label maps."""
        return read_dataset_json(existing_folder(PREPROCESSED) / self.dataset / NAME).file_ending

    def validation_cases(self) -> list[str] | None:
        """Return the cases on which the fold is validated; None while the dataset has no folds or plans.

        Raises:
            PancextError: the dataset has folds, but not this one. nnU-Net would make one up at random.
        """
        folder = existing_folder(PREPROCESSED) / self.dataset
        if self.fold == ALL:
            return self._preprocessed_cases(folder)
        if not self.fold.isdecimal():
            raise PancextError(f"There is no fold {self.fold!r}. Choose a number from 0, or {ALL}.")
        file = folder / SPLITS_FILE
        if not file.is_file():
            return None
        folds = read_folds(file)
        if int(self.fold) >= len(folds):
            raise PancextError(
                f"{file} has {len(folds)} folds, and no fold {self.fold}. "
                f"Choose a number from 0 to {len(folds) - 1}, or {ALL}."
            )
        return folds[int(self.fold)]["val"]

    def _preprocessed_cases(self, folder: Path) -> list[str] | None:
        plans = folder / f"{self.plans}.json"
        if not plans.is_file():
            return None
        configurations = read_json(plans, expect=dict).get("configurations", {})
        settings = configurations.get(self.configuration, {})
        while "data_identifier" not in settings and "inherits_from" in settings:
            settings = configurations.get(settings["inherits_from"], {})
        return sorted(find_cases(folder / settings.get("data_identifier", ""), ".pkl"))

    def has_checkpoint(self, name: str) -> bool:
        """Whether a checkpoint is there and was written to its end."""
        return zipfile.is_zipfile(self.folder / name)

    def is_whole(self, *, probabilities: bool) -> bool:
        """Whether training and validation have ended, with `probabilities` of each case if asked for."""
        if not self.has_checkpoint(FINAL):
            return False
        cases = self.validation_cases()
        summary = self.validation / SUMMARY
        if not cases or not summary.is_file():
            return False
        with suppress(PancextError):
            read_json(summary, expect=dict)
            if summary.stat().st_mtime >= (self.folder / FINAL).stat().st_mtime:
                names = {path.name for path in self.validation.iterdir()}
                return names.issuperset(
                    f"{case}{ending}" for case in cases for ending in self._endings(probabilities)
                )
        return False

    def whole_predictions(self, cases: Iterable[str], *, probabilities: bool) -> set[str]:
        """Return the validation cases whose files are whole, and not older than the final checkpoint.

        nnU-Net writes them in place. Label maps that are not NIfTI count as incomplete.
        """
        if self.ending not in NIFTI:
            return set()
        trained_at = (self.folder / FINAL).stat().st_mtime
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
        for file in (self.validation / SUMMARY, *self.validation.glob("*.npz")):
            if file.name == SUMMARY or not zipfile.is_zipfile(file):
                file.unlink(missing_ok=True)
        if self.has_checkpoint(FINAL):
            return ["--val"]
        return ["--c"] if any(self.folder.glob("checkpoint_*.pth")) else []

    def _endings(self, probabilities: bool) -> tuple[str, ...]:
        return (".npz", ".pkl", self.ending) if probabilities else (self.ending,)


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
