"""The folder of a trained model, as `nnUNetv2_train` writes it: its name, its folds, its dataset's cases."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_json
from nnunet_pancext.io.label_maps import find_cases
from nnunet_pancext.nnunet_files.dataset_json import DatasetJson, read_dataset_json
from nnunet_pancext.nnunet_files.folders import RAW, nnunet_folder
from nnunet_pancext.nnunet_files.raw_dataset import find_ground_truth

SEPARATOR = "__"  # nnU-Net's, in the name of the folder
ALL = "all"  # nnU-Net's name of the fold that trains on every case, and is validated on the same
FINAL = "checkpoint_final.pth"
CHECKPOINTS = (FINAL, "checkpoint_latest.pth", "checkpoint_best.pth")


class ModelName(NamedTuple):
    """TRAINER__PLANS__CONFIGURATION, the name of a trained model's folder."""

    trainer: str
    plans: str
    configuration: str

    @classmethod
    def parse(cls, text: str) -> "ModelName | None":
        """Read a folder's name; None where it does not have three parts."""
        parts = text.split(SEPARATOR)
        return cls(*parts) if len(parts) == 3 and all(parts) else None

    def __str__(self) -> str:
        return SEPARATOR.join(self)


@dataclass(frozen=True, kw_only=True)
class Fold:
    """A fold of a trained model; `ending` is the suffix of its predictions."""

    folder: Path
    ending: str

    @property
    def name(self) -> str:
        """The fold's number, or `all`."""
        return self.folder.name.removeprefix("fold_")

    @property
    def validation(self) -> Path:
        return self.folder / "validation"

    @property
    def summary(self) -> Path:
        """The summary that nnU-Net writes at the end of the validation."""
        return self.validation / "summary.json"

    @cached_property
    def cases(self) -> set[str]:
        """The predicted validation cases. nnU-Net creates the folder before the first prediction."""
        return find_cases(self.validation, self.ending)

    @property
    def is_validated(self) -> bool:
        return self.summary.is_file()

    @property
    def checkpoint(self) -> Path | None:
        """The final checkpoint, else the latest, else the best."""
        return next((path for name in CHECKPOINTS if (path := self.folder / name).is_file()), None)

    @property
    def how_to_complete(self) -> str:
        """A sentence with the command that completes an interrupted training or validation.

        nnU-Net validates (--val) with the final checkpoint only. It continues (--c) from any checkpoint, but
        without one it would silently train anew.
        """
        trainer, plans, configuration = self.folder.parent.name.split(SEPARATOR)
        option = "--val" if (self.folder / FINAL).is_file() else "--c" if self.checkpoint else ""
        dataset = self.folder.parents[1].name
        command = f"nnUNetv2_train {dataset} {configuration} {self.name} -tr {trainer} -p {plans}"
        options = [option, "-device cpu" if self.device == "cpu" else ""]
        what = "Complete it" if option else "It has no checkpoint, so train it from the start"
        return " ".join([f"{what}: {command}", *filter(None, options)])

    @property
    def device(self) -> str:
        """The device it was trained on, as in nnU-Net's debug.json; empty if unknown."""
        try:
            debug = read_json(self.folder / "debug.json", expect=dict)
        except PancextError:
            return ""
        return str(debug.get("gpu_name") or debug.get("device") or "")

    @property
    def is_of_training_cases(self) -> bool:
        """Whether the validation cases are the training cases."""
        return self.name == ALL

    def prediction(self, case: str) -> Path:
        return self.validation / f"{case}{self.ending}"

    def probabilities(self, case: str) -> Path:
        return self.validation / f"{case}.npz"


@dataclass(frozen=True, kw_only=True)
class ModelFolder:
    """A trained model, the ground truth of its dataset, and its images where they are available."""

    folder: Path
    name: ModelName
    dataset: DatasetJson
    folds: list[Fold]  # to report
    left_out: list[Fold]  # not excluded by the user, but omitted
    truth: Path
    images: Path | None

    @property
    def trainer(self) -> str:
        return self.name.trainer

    @property
    def dataset_name(self) -> str:
        """The folder name of the dataset, such as Dataset007_Pancreas."""
        return self.folder.parent.name


def open_model_folder(
    folder: Path, *, folds: Sequence[str] = (), truth: Path | None = None, images: Path | None = None
) -> ModelFolder:
    """Find the folds of a model, or those named; PancextError if they cannot be reported.

    Fold `all`, validated on its training cases, is omitted where a numbered fold is validated. By default the
    ground truth is in nnUNet_preprocessed or nnUNet_raw and the images are in nnUNet_raw.
    """
    folder = folder.resolve()
    name = ModelName.parse(folder.name)
    if name is None or not (folder / "dataset.json").is_file():
        raise PancextError(
            f"{folder} is not a trained model. Give a folder as nnUNetv2_train writes it: "
            "$nnUNet_results/Dataset007_Pancreas/TRAINER__PLANS__CONFIGURATION."
        )
    dataset = read_dataset_json(folder / "dataset.json")
    trained = {fold.name: fold for fold in find_folds(folder, ending=dataset.file_ending)}
    unknown = [name for name in folds if name not in trained]
    if unknown:
        raise PancextError(
            f"{folder} has no fold {', '.join(unknown)}. Trained folds: {', '.join(trained) or 'none'}."
        )
    if ALL in folds and len(set(folds)) > 1:
        raise PancextError(
            f"--folds {' '.join(folds)}: fold {ALL} trained on the cases of every other fold. "
            "Report it alone."
        )
    named = [fold for name, fold in trained.items() if name in folds or not folds]
    numbered = [fold for fold in named if not fold.is_of_training_cases]
    kept = numbered if any(fold.cases for fold in numbered) else named
    if not any(fold.cases for fold in kept):
        remedy = kept[0].how_to_complete if kept else "Train with nnUNetv2_train."
        raise PancextError(f"No fold of {folder} has a validation. {remedy}")
    raw = nnunet_folder(RAW)
    if images is None and raw and (raw / folder.parent.name / "imagesTr").is_dir():
        images = raw / folder.parent.name / "imagesTr"
    return ModelFolder(
        folder=folder,
        name=name,
        dataset=dataset,
        folds=kept,
        left_out=[fold for fold in named if fold not in kept],
        truth=truth or find_ground_truth(folder.parent.name),
        images=images,
    )


def find_folds(folder: Path, *, ending: str) -> list[Fold]:
    """Return the folds of a model that a training has begun."""
    return [Fold(folder=path, ending=ending) for path in sorted(folder.glob("fold_*")) if path.is_dir()]
