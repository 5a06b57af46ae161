"""The cases that a fold of a model was not trained on, with their images and ground truth."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.nnunet_files.case_files import training_files
from nnunet_pancext.nnunet_files.dataset_json import NAME, read_dataset_json
from nnunet_pancext.nnunet_files.folders import RAW, existing_folder
from nnunet_pancext.nnunet_files.model_folder import ALL, Fold
from nnunet_pancext.nnunet_files.splits_final import folds_file, read_folds
from nnunet_pancext.prediction.cases import Case
from nnunet_pancext.prediction.models import ChosenModel
from nnunet_pancext.prediction.training_volumes import training_label_maps


@dataclass(frozen=True, kw_only=True)
class ValidationCase:
    """A case with its label map, and the fold that was not trained on it."""

    fold: str
    case: Case
    truth: Path


def choose_validation_cases(model: ChosenModel, number: int) -> list[ValidationCase]:
    """Return `number` validation cases or as many as there are, evenly from the folds, in their order.

    Images are those in nnUNet_raw, label maps those in nnUNet_preprocessed or nnUNet_raw. Fold `all` was
    trained on every case.

    Raises:
        PancextError: there is none; the message says why.
    """
    dataset = model.folder.resolve().parent.name
    label_maps = {
        path.name.removesuffix(model.dataset.file_ending): path
        for path in training_label_maps(model.folder, model.dataset)
    }
    if not label_maps:
        raise PancextError(
            f"The self-test of {model.folder.name} cannot run: the label maps of its training cases, "
            f"{dataset}, are neither in nnUNet_preprocessed nor in nnUNet_raw. Set these as for training."
        )
    images = _images(dataset)
    by_fold = {
        fold: [
            ValidationCase(fold=fold, case=Case(name=name, files=images[name]), truth=label_maps[name])
            for name in names
            if name in images and name in label_maps
        ]
        for fold, names in _names_by_fold(model, dataset).items()
    }
    shares = _shares({fold: len(cases) for fold, cases in by_fold.items()}, number)
    chosen = [case for fold, cases in by_fold.items() for case in _evenly(cases, shares[fold])]
    if not chosen:
        raise PancextError(
            f"The self-test of {model.folder.name} cannot run: fold {', '.join(model.folds)} has no "
            f"validation case with an image in nnUNet_raw ({dataset}). Put the images there, or choose a "
            "fold with -f."
        )
    return chosen


def _images(dataset: str) -> dict[str, tuple[Path, ...]]:
    """Return the files of each case by its name, in the order of the channels."""
    folder = existing_folder(RAW) / dataset
    if not (folder / NAME).is_file():
        raise PancextError(
            f"The self-test cannot run: there is no {folder / NAME}. It predicts validation cases and "
            "needs their images in nnUNet_raw."
        )
    files = training_files(read_dataset_json(folder / NAME))
    return {
        name: tuple(case.images[number] for number in sorted(case.images))
        for name, case in files.items()
        if case.images
    }


def _names_by_fold(model: ChosenModel, dataset: str) -> dict[str, list[str]]:
    """Return the validation cases of each fold: those that nnU-Net predicted, else those of its split."""
    names = {}
    file = folds_file(dataset)
    for fold in model.folds:
        if fold == ALL:
            continue
        trained = Fold(folder=model.folder / f"fold_{fold}", ending=model.dataset.file_ending)
        cases = trained.cases
        if not trained.is_validated and file is not None and file.is_file():
            splits = read_folds(file)
            cases = set(splits[int(fold)]["val"]) if int(fold) < len(splits) else cases
        names[fold] = sorted(cases)
    return names


def _shares(available: Mapping[str, int], number: int) -> dict[str, int]:
    """Return how many cases each fold gives, one after the other until there are `number`."""
    shares = dict.fromkeys(available, 0)
    while sum(shares.values()) < number:
        open_folds = [fold for fold, share in shares.items() if share < available[fold]]
        if not open_folds:
            break
        for fold in open_folds[: number - sum(shares.values())]:
            shares[fold] += 1
    return shares


def _evenly(cases: list[ValidationCase], number: int) -> list[ValidationCase]:
    return [cases[index * len(cases) // number] for index in range(number)]
