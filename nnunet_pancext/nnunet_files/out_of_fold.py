"""A model's predictions of its training cases, each by the fold that was not trained on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import counted
from nnunet_pancext.nnunet_files.dataset_json import NAME, DatasetJson, read_dataset_json
from nnunet_pancext.nnunet_files.folders import PREPROCESSED
from nnunet_pancext.nnunet_files.model_folder import Fold, ModelName
from nnunet_pancext.nnunet_files.splits_final import Folds, folds_file, read_folds


@dataclass(frozen=True, kw_only=True)
class OutOfFold:
    """Predictions by case, and the model that made them: its dataset.json and the folds it was trained on."""

    predictions: dict[str, Path]
    declared: DatasetJson
    folds: Folds


def find_out_of_fold(folders: Sequence[Path], cases: Sequence[str]) -> OutOfFold:
    """Return a prediction for each of the cases from MODEL/fold_N/validation, the `folders`.

    Raises:
        PancextError: a folder is not of that kind, or they are of several models; the model's folds are not
            known; a case has no prediction, or none by a fold that was not trained on it.
    """
    models = dict.fromkeys(map(_model_of, folders))
    if len(models) != 1:
        listed = ", ".join(map(str, models)) or "none"
        raise PancextError(
            f"The predictions of training cases must be of one model, not {listed}. Name its folds."
        )
    (model,) = models
    declared = read_dataset_json(model / NAME, remedy="Copy the model again.")
    file = folds_file(model.parent.name)
    if file is None or not file.is_file():
        raise PancextError(
            f"Which cases the folds of {model} were trained on is not known: there is no "
            f"{file or PREPROCESSED}. Put the file there that it was trained with."
        )
    splits = read_folds(file)
    found: dict[str, Path] = {}
    trained_on: dict[str, Path] = {}
    for folder in folders:
        fold = Fold(folder=folder.parent, ending=declared.file_ending)
        if not fold.name.isdecimal() or int(fold.name) >= len(splits):
            raise PancextError(
                f"{folder} is of fold {fold.name}, and {file} has the folds 0 to {len(splits) - 1}. Give "
                "predictions by folds that were not trained on the case."
            )
        trained = set(splits[int(fold.name)]["train"])
        for case in fold.cases:
            (trained_on if case in trained else found).setdefault(case, fold.prediction(case))
    missing = [case for case in cases if case not in found]
    if missing:
        case = missing[0]
        why = f"only {trained_on[case]}, by a fold trained on it" if case in trained_on else "none"
        raise PancextError(
            f"There is no prediction of {counted(len(missing), 'training case')} by a fold of {model} that "
            f"was not trained on the case, {case} first ({why}). Train and validate the missing folds, and "
            "name them all."
        )
    return OutOfFold(predictions={case: found[case] for case in cases}, declared=declared, folds=splits)


def _model_of(folder: Path) -> Path:
    model, fold = folder.parent.parent, folder.parent.name
    if folder.name != "validation" or not fold.startswith("fold_") or ModelName.parse(model.name) is None:
        raise PancextError(
            f"{folder} is no validation folder. Give those that nnUNetv2_train writes: "
            "$nnUNet_results/DatasetXXX_Name/TRAINER__PLANS__CONFIGURATION/fold_N/validation."
        )
    if not folder.is_dir():
        raise PancextError(f"There is no {folder}. Train and validate this fold first.")
    return model
