"""The step that cuts a raw dataset out of another one by a coarse model's predictions."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_pancext.campaign.kinds.convert import id_and_name
from nnunet_pancext.campaign.step import Step, worker
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import counted
from nnunet_pancext.io.files import read_json
from nnunet_pancext.nnunet_files.folders import PREPROCESSED, RAW, datasets_of_number, expand, set_folder
from nnunet_pancext.nnunet_files.splits_final import SPLITS_FILE, holds

REPORT = "crop_report.json"
MOVE_AWAY = "Move that dataset away, or choose another number and name."


@dataclass(frozen=True, kw_only=True)
class Crop(Step):
    """Each case of `source` cut to the box around its predicted region becomes a case of `dataset`.

    `labels` are names of the coarse model's labels; their voxels, every component, are the region. The box
    around it is grown by `margin_mm` (slice, row, column) on each side, as far as the image goes; a case
    without a predicted voxel is kept whole. `train_predictions` are validation folders of the coarse model's
    folds, as MODEL/fold_N/validation: a training case is cut by the fold that was not trained on it.
    `test_predictions` is a folder of the same model's predictions; without it, there are no test cases.
    `keep` are the labels of `source` that its label maps keep, in the order of their values; all by default.
    Paths may start with $nnUNet_results. The folds of `source` become those of `dataset`, and
    `crop_report.json` has the box of each case, from which `raw_cases.region_box.restore_box` puts a
    prediction back into the whole image.
    """

    kind = "crop"

    source: str
    dataset: str
    labels: tuple[str, ...]
    train_predictions: tuple[str, ...]
    test_predictions: str = ""
    margin_mm: tuple[float, ...] = (10.0, 10.0, 10.0)
    keep: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return f"cut {self.dataset} out of {self.source}"

    def result(self, folder: Path) -> Path:
        return set_folder(RAW) / self.dataset

    def written_folder(self, folder: Path) -> Path:
        return self.result(folder)

    def predictions(self, folder: Path, path: str) -> Path:
        """Return the folder of predictions that an entry names."""
        return folder / expand(path)

    def is_done(self, folder: Path) -> bool:
        dataset, file = self.result(folder), self.result(folder) / REPORT
        if not dataset.exists():
            return False
        if not file.is_file():
            raise PancextError(f"{dataset} exists, but was not made by this step. {MOVE_AWAY}")
        report = self._report(folder)
        if report.get("options") != as_recorded(self.options()):
            raise PancextError(f"{dataset} was cut with other options than those of {self.name}. {MOVE_AWAY}")
        folds = set_folder(PREPROCESSED) / self.dataset / SPLITS_FILE
        predictions = [Path(case["prediction"]) for case in report["cases"].values()]
        return (
            folds.is_file()
            and holds(folds, report["folds"])
            and all(not path.is_file() or _mtime(path) <= _mtime(file) for path in predictions)
        )

    def command(self, folder: Path) -> list[str]:
        return worker("crop", folder, self.name)

    def prepare(self, folder: Path) -> list[str]:
        """Require a number that is free."""
        id_and_name(self.dataset)
        others = [name for name in datasets_of_number(self.result(folder)) if name != self.dataset]
        if others:
            raise PancextError(
                f"The number of {self.dataset} is taken by {', '.join(others)}: nnU-Net would confuse them. "
                "Choose another number."
            )
        return []

    def remarks(self, folder: Path) -> list[str]:
        """Return which cases were kept whole, and whose labels the box cuts off."""
        report = self._report(folder)
        cases = report["cases"]
        whole = sorted(case for case, cut in cases.items() if cut["is_empty"])
        lost = {case: cut["lost_voxels"] for case, cut in cases.items() if cut["lost_voxels"]}
        remarks = list(report["notes"])
        if whole:
            remarks.append(f"nothing predicted, not cropped: {', '.join(whole)}")
        if lost:
            listed = ", ".join(f"{case} ({counted(voxels, 'voxel')})" for case, voxels in lost.items())
            remarks.append(f"labelled voxels outside the box: {listed}")
        return remarks

    def _report(self, folder: Path) -> dict[str, Any]:
        remedy = "Move that dataset away and run again."
        report = read_json(self.result(folder) / REPORT, expect=dict, remedy=remedy)
        if not {"options", "cases", "folds", "notes"} <= report.keys():
            raise PancextError(f"{self.result(folder) / REPORT} is not a report of this step. {remedy}")
        return report


def as_recorded(options: dict[str, Any]) -> dict[str, Any]:
    """Return a step's options as JSON has them."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}


def _mtime(path: Path) -> float:
    return path.stat().st_mtime
