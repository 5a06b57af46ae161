"""The step that predicts a folder of images with a trained model, or with a trainer's best configuration."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_pancext.campaign.measured import Measured
from nnunet_pancext.campaign.step import Progress, Step
from nnunet_pancext.campaign.up_to_date import are_up_to_date
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import counted
from nnunet_pancext.io.files import read_json
from nnunet_pancext.nnunet_commands.console import INDENT
from nnunet_pancext.nnunet_files.best_configuration import read_best_configuration
from nnunet_pancext.nnunet_files.folders import RESULTS, set_folder
from nnunet_pancext.nnunet_files.model_folder import FINAL, ModelName
from nnunet_pancext.nnunet_files.trained_fold import trained_folds

IMAGE = re.compile(r"([^.].*)_[0-9]{4}(\.\w+){1,2}")  # CASE_0000.nii.gz


@dataclass(frozen=True, kw_only=True)
class Predict(Step):
    """`pancext predict --speed exact`, which gives the label maps of nnUNetv2_predict.

    The model is `best`, the file of a step of kind best, or else that of trainer, plans, configuration and
    folds.
    """

    kind = "predict"
    uses_gpu = True

    dataset: str
    images: str
    output: str
    trainer: str = ""
    plans: str = ""
    configuration: str = ""
    folds: tuple[str, ...] = ()
    best: str = ""
    probabilities: bool = False
    device: str = "cuda"

    @property
    def title(self) -> str:
        return f"predict {Path(self.images).name} with {self.trainer or self.best}, {self.dataset}"

    def result(self, folder: Path) -> Path:
        return folder / self.output

    def written_folder(self, folder: Path) -> Path:
        return self.result(folder)

    def is_done(self, folder: Path) -> bool:
        predicted = self._predicted(folder)
        return bool(predicted) and all(predicted.values())

    def command(self, folder: Path) -> list[str]:
        if self.best:
            model = ["--best", str(folder / self.best)]
        else:
            names = ("-d", self.dataset, "-tr", self.trainer, "-p", self.plans, "-c", self.configuration)
            model = [*names, *(("-f", *self.folds) if self.folds else ())]
        return [
            *("pancext", "predict", "-i", str(folder / self.images), "-o", str(self.result(folder))),
            *(*model, "--speed", "exact", "-device", self.device),
            *(("--save_probabilities",) if self.probabilities else ()),
        ]

    def prepare(self, folder: Path) -> list[str]:
        """Remove the records of outdated predictions, without which the cases are predicted anew."""
        for case, is_predicted in self._predicted(folder).items():
            if not is_predicted:
                (self.result(folder) / f"{case}.json").unlink(missing_ok=True)
        return []

    def measured(self, folder: Path) -> Measured:
        predicted = self._predicted(folder)
        return Measured(text=f"{sum(predicted.values())} of {counted(len(predicted), 'case')} predicted")

    def progress(self) -> Progress | None:
        return lambda line: line.strip() if line.startswith(INDENT) and ": " in line else None

    def _predicted(self, folder: Path) -> dict[str, bool]:
        """Return for each case whether its prediction is complete and up to date."""
        latest = self._latest_model_file(folder)
        return {
            case: latest is not None and self._is_predicted(folder, case, made_from=[latest, *images])
            for case, images in self._images(folder).items()
        }

    def _images(self, folder: Path) -> dict[str, list[Path]]:
        """Return the images of each case, a file for each channel."""
        images = folder / self.images
        cases = defaultdict(list)
        for path in images.iterdir() if images.is_dir() else ():
            if match := IMAGE.fullmatch(path.name):
                cases[match[1]].append(path)
        return cases

    def _is_predicted(self, folder: Path, case: str, *, made_from: list[Path]) -> bool:
        """Whether a case's record, which `pancext predict` writes last, is there and not outdated."""
        out = self.result(folder)
        try:
            record: dict[str, Any] = read_json(out / f"{case}.json", expect=dict)
            files = [out / str(record["label_map"]), *([out / f"{case}.npz"] if self.probabilities else [])]
            return all(path.stat().st_size > 0 for path in files) and are_up_to_date(
                [out / f"{case}.json"], made_from=[*files, *made_from]
            )
        except (PancextError, OSError, KeyError):
            return False

    def _latest_model_file(self, folder: Path) -> Path | None:
        """Return the model's file that was written last; None where one is missing."""
        try:
            return max(self._model_files(folder), key=lambda path: path.stat().st_mtime)
        except (PancextError, OSError, ValueError):
            return None

    def _model_files(self, folder: Path) -> Iterator[Path]:
        models, folds = [ModelName(self.trainer, self.plans, self.configuration)], self.folds
        if self.best:
            best = read_best_configuration(folder / self.best)
            models, folds = list(best.models), best.folds
            yield folder / self.best
        if folds:
            yield from (fold.checkpoint for fold in trained_folds(self.dataset, models, folds))
        else:
            for model in models:
                yield from (set_folder(RESULTS) / self.dataset / str(model)).glob(f"fold_*/{FINAL}")
