"""The step that predicts a folder of images with a trained model, or with a trainer's best configuration."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_pancext.campaign.step import Progress, Step
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_json
from nnunet_pancext.nnunet_commands.console import INDENT
from nnunet_pancext.nnunet_files.best_configuration import read_best_configuration
from nnunet_pancext.nnunet_files.folders import RESULTS, existing_folder
from nnunet_pancext.nnunet_files.model_folder import FINAL, ModelName

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
        cases = self._cases(folder)
        since = self._made_at(folder)
        return bool(cases) and since is not None and all(self._is_whole(folder, c, since) for c in cases)

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
        since = self._made_at(folder)
        for case in self._cases(folder):
            if since is None or not self._is_whole(folder, case, since):
                (self.result(folder) / f"{case}.json").unlink(missing_ok=True)
        return []

    def progress(self) -> Progress | None:
        return lambda line: line.strip() if line.startswith(INDENT) and ": " in line else None

    def _cases(self, folder: Path) -> set[str]:
        images = folder / self.images
        names = [path.name for path in images.iterdir()] if images.is_dir() else []
        return {match[1] for name in names if (match := IMAGE.fullmatch(name))}

    def _is_whole(self, folder: Path, case: str, since: float) -> bool:
        """Whether a case's record, which `pancext predict` writes last, is there and not outdated."""
        out = self.result(folder)
        try:
            record: dict[str, Any] = read_json(out / f"{case}.json", expect=dict)
            recorded_at = (out / f"{case}.json").stat().st_mtime
            files = [out / str(record["label_map"]), *([out / f"{case}.npz"] if self.probabilities else [])]
            return recorded_at >= since and all(
                path.stat().st_size > 0 and path.stat().st_mtime <= recorded_at for path in files
            )
        except (PancextError, OSError, KeyError):
            return False

    def _made_at(self, folder: Path) -> float | None:
        """Return when the latest of the model's files was written; None where one is missing."""
        try:
            return max(path.stat().st_mtime for path in self._model_files(folder))
        except (PancextError, OSError, ValueError):
            return None

    def _model_files(self, folder: Path) -> Iterator[Path]:
        results = existing_folder(RESULTS) / self.dataset
        models, folds = [ModelName(self.trainer, self.plans, self.configuration)], self.folds
        if self.best:
            best = read_best_configuration(folder / self.best)
            models, folds = list(best.models), best.folds
            yield folder / self.best
        for model in models:
            if folds:
                yield from (results / str(model) / f"fold_{fold}" / FINAL for fold in folds)
            else:
                yield from (results / str(model)).glob(f"fold_*/{FINAL}")
