"""The cases that each fold was validated on, the same for all models."""

from collections.abc import Mapping, Sequence

from nnunet_pancext.errors import PancextError
from nnunet_pancext.nnunet_files.model_folder import ALL, find_folds
from nnunet_pancext.nnunet_files.models import Model
from nnunet_pancext.nnunet_files.splits_final import folds_file, read_folds

MOST_LISTED = 10
NO_TEST_CASE = "a model trained on all cases has none to be tested on"


def choose_folds(models: Sequence[Model], wanted: Sequence[str] | None) -> list[int]:
    """Return the folds to compare: those wanted, or else every one that some model has begun."""
    begun = {
        model.name: {int(fold.name) for fold in find_folds(model.folder, ending="") if fold.name.isdecimal()}
        for model in models
    }
    if wanted is None:
        folds = sorted(set().union(*begun.values()))
        if not folds:
            on_all = ", ".join(model.name for model in models if model.fold(ALL).folder.is_dir())
            raise PancextError(
                f"{on_all}: only fold_all was trained, and {NO_TEST_CASE}. Train folds from 0 on with "
                "nnUNetv2_train."
                if on_all
                else f"No fold was trained in {models[0].folder}. Train with nnUNetv2_train."
            )
    else:
        for text in wanted:
            if not text.isdecimal():
                why = f": {NO_TEST_CASE}" if text == ALL else ""
                raise PancextError(f"--folds takes numbers from 0, not {text!r}{why}.")
        folds = sorted(map(int, wanted))
        if len(set(folds)) < len(folds):
            raise PancextError(f"--folds {' '.join(wanted)} names a fold twice.")
    missing = {name: sorted(set(folds) - numbers) for name, numbers in begun.items()}
    lists = [f"{name} has no {_listed('fold', numbers)}" for name, numbers in missing.items() if numbers]
    if lists:
        common = sorted(set.intersection(*begun.values()))
        way_out = f", or compare --folds {' '.join(map(str, common))}, which all have" if common else ""
        raise PancextError(
            f"The models have different folds: {'; '.join(lists)}. Train these folds{way_out}."
        )
    return folds


def validated_cases(
    models: Sequence[Model], folds: Sequence[int], *, splits: Sequence[set[str]]
) -> dict[int, list[str]]:
    """Return the cases by fold, the same for every model.

    `splits` are the validation cases of nnU-Net's splits_final.json, if it exists. A fold beyond it is
    nnU-Net's random 80:20 split; then the models only have to agree.

    Raises:
        PancextError: the validation of a fold is incomplete, or has other cases than the split or the other
            models; or a case is in two folds.
    """
    cases: dict[int, list[str]] = {}
    fold_of: dict[str, int] = {}
    for fold in folds:
        expected = splits[fold] if fold < len(splits) else None
        predicted = {model.name: _predicted_cases(model, fold, expected) for model in models}
        _require_agreement(fold, predicted)
        cases[fold] = sorted(predicted[models[0].name])
        for case in cases[fold]:
            if fold_of.setdefault(case, fold) != fold:
                raise PancextError(
                    f"Case {case!r} is validated in fold {fold_of[case]} and in fold {fold}, so the folds "
                    "cannot be pooled. Compare one of them at a time with --folds."
                )
    return cases


def find_splits(dataset: str) -> list[set[str]] | None:
    """Return the validation cases of each fold of nnU-Net's splits_final.json; None if it does not exist."""
    file = folds_file(dataset)
    return [set(fold["val"]) for fold in read_folds(file)] if file and file.is_file() else None


def _predicted_cases(model: Model, fold: int, expected: set[str] | None) -> set[str]:
    """Return the cases of a fold; raise PancextError if some are missing, or if others are expected."""
    validation, cases = model.fold(fold).validation, model.fold(fold).cases
    expected = cases if expected is None else expected
    missing, extra = sorted(expected - cases), sorted(cases - expected)
    if missing or not cases:
        what = f"{len(missing)} of {len(expected)} cases are not in {validation}: {_listed('case', missing)}"
        if not cases:
            what = f"{validation} {'holds no prediction' if validation.is_dir() else 'does not exist'}"
        trainer, plans, configuration = model.trained_as
        raise PancextError(
            f"{model.name}, fold {fold} is not finished: {what}. Finish the training (--c), or validate it: "
            f"nnUNetv2_train DATASET {configuration} {fold} -tr {trainer} -p {plans} --val"
        )
    if extra:
        raise PancextError(
            f"{model.name}, fold {fold} was also validated on {_listed('case', extra)}, which "
            "splits_final.json does not have in this fold. The split was changed after the training: "
            "restore the former one, or train again."
        )
    return cases


def _require_agreement(fold: int, predicted: Mapping[str, set[str]]) -> None:
    (first, cases), *others = predicted.items()
    for other, other_cases in others:
        only = [
            f"only {name} has {_listed('case', sorted(extra))}"
            for name, extra in ((first, cases - other_cases), (other, other_cases - cases))
            if extra
        ]
        if only:
            raise PancextError(
                f"{first} and {other} were validated on different cases in fold {fold}: {'; '.join(only)}. "
                "Finish both, or train both on the same splits_final.json."
            )


def _listed(noun: str, items: Sequence[object]) -> str:
    first = ", ".join(map(str, items[:MOST_LISTED]))
    rest = f" and {len(items) - MOST_LISTED} more" if len(items) > MOST_LISTED else ""
    return f"{noun}{'' if len(items) == 1 else 's'} {first}{rest}"
