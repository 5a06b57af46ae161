"""What `nnUNetv2_train` left of a model, and where the images and labels of its cases are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.label_maps import find_cases
from nnunet_pancext.nnunet_files.dataset_json import DatasetJson, read_dataset_json
from nnunet_pancext.nnunet_files.ground_truth import find_ground_truth

ALL = "all"  # nnU-Net's name of the fold that trains on every case, and is validated on the same
FLAT = (".png", ".bmp", ".jpg", ".jpeg")
CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_latest.pth", "checkpoint_best.pth")


@dataclass(frozen=True, kw_only=True)
class Fold:
    """A fold of a model; `validation` and `checkpoint` are None until there is something of them.

    `is_validated` says that the validation came to its end: nnU-Net writes its summary last.
    """

    name: str
    folder: Path
    validation: Path | None
    is_validated: bool
    checkpoint: Path | None

    @property
    def is_of_training_cases(self) -> bool:
        """Whether its validation cases are the ones that it trained on."""
        return self.name == ALL


@dataclass(frozen=True, kw_only=True)
class ModelFolder:
    """A trained model, the true label maps of its dataset, and its images where they are at hand.

    `folds` are those to report, `left_out` the other ones that are there and were not chosen away.
    """

    folder: Path
    trainer: str
    plans: str
    configuration: str
    dataset: DatasetJson
    folds: list[Fold]
    left_out: list[Fold]
    truth: Path
    images: Path | None

    @property
    def dataset_name(self) -> str:
        """The dataset's folder name, as Dataset007_Pancreas."""
        return self.folder.parent.name


def open_model_folder(
    folder: Path, *, folds: Sequence[str] = (), truth: Path | None = None, images: Path | None = None
) -> ModelFolder:
    """Look what is there: every fold, or those named, with their validation.

    Fold `all`, whose validation cases are its training cases, is left out beside a validated fold with a
    number. The truth is in nnUNet_preprocessed or nnUNet_raw and the images in nnUNet_raw unless they are
    given.

    Raises:
        PancextError: the folder is no trained model, its images are no volumes, a fold is not there, `all`
            is named with others, none was validated, or the truth is not found.
    """
    folder = folder.resolve()
    parts = folder.name.split("__")
    if len(parts) != 3 or not (folder / "dataset.json").is_file():
        raise PancextError(
            f"{folder} is no trained model. Give a folder as nnUNetv2_train writes it: "
            "$nnUNet_results/Dataset007_Pancreas/TRAINER__PLANS__CONFIGURATION."
        )
    dataset = read_dataset_json(folder / "dataset.json")
    if dataset.file_ending in FLAT:
        raise PancextError(
            f"{folder} was trained on {dataset.file_ending} pictures. A report is of volumes, with distances "
            "in mm; nnU-Net's own scores of pictures are in fold_*/validation/summary.json."
        )
    found = {
        path.name.removeprefix("fold_"): read_fold(path, ending=dataset.file_ending)
        for path in sorted(folder.glob("fold_*"))
    }
    unknown = [name for name in folds if name not in found]
    if unknown:
        there = ", ".join(found) or "none"
        raise PancextError(
            f"{folder} has no fold {', '.join(unknown)}; there are: {there}. Train them first."
        )
    if ALL in folds and len(set(folds)) > 1:
        raise PancextError(
            f"--folds {' '.join(folds)}: fold {ALL} trained on the cases of every other fold. "
            "Report it alone."
        )
    named = [fold for name, fold in found.items() if name in folds or not folds]
    numbered = [fold for fold in named if not fold.is_of_training_cases]
    kept = numbered if any(fold.validation for fold in numbered) else named
    if not any(fold.validation for fold in kept):
        raise PancextError(
            f"No fold of {folder} has a validation. Let nnUNetv2_train end, or run it with --val."
        )
    return ModelFolder(
        folder=folder,
        trainer=parts[0],
        plans=parts[1],
        configuration=parts[2],
        dataset=dataset,
        folds=kept,
        left_out=[fold for fold in named if fold not in kept],
        truth=truth or find_ground_truth(folder.parent.name),
        images=images or _below("nnUNet_raw", f"{folder.parent.name}/imagesTr"),
    )


def read_fold(path: Path, *, ending: str) -> Fold:
    """Look what is there of a fold; `ending` is that of its label maps."""
    # nnU-Net makes the folder before the first prediction.
    validation = path / "validation"
    checkpoints = [path / name for name in CHECKPOINTS if (path / name).is_file()]
    return Fold(
        name=path.name.removeprefix("fold_"),
        folder=path,
        validation=validation if find_cases(validation, ending) else None,
        is_validated=(validation / "summary.json").is_file(),
        checkpoint=checkpoints[0] if checkpoints else None,
    )


def _below(variable: str, folder: str) -> Path | None:
    root = os.environ.get(variable)
    return Path(root) / folder if root and (Path(root) / folder).is_dir() else None
