"""Which cases each fold was validated on, and whether that is the same for all models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_json
from nnunet_pancext.io.label_maps import find_cases
from nnunet_pancext.nnunet_files.models import Model

MOST_LISTED = 10


def choose_folds(models: Sequence[Model], wanted: Sequence[str] | None) -> list[int]:
    """Return the folds to compare: those wanted, or else every one that some model has begun.

    Raises:
        PancextError: a wanted fold is no number from 0 or given twice; a model lacks a fold.
    """
    begun = {model.name: _begun(model) for model in models}
    if wanted is None:
        folds = sorted(set().union(*begun.values()))
        if not folds:
            raise PancextError(_nothing_begun(models))
    else:
        folds = [_number(text) for text in wanted]
        if len(set(folds)) < len(folds):
            raise PancextError(f"--folds {' '.join(wanted)} names a fold twice.")
    lacking = {name: sorted(set(folds) - have) for name, have in begun.items() if not have.issuperset(folds)}
    if lacking:
        common = sorted(set.intersection(*begun.values()))
        said = "; ".join(f"{name} has no {_listed('fold', missing)}" for name, missing in lacking.items())
        way_out = f", or compare --folds {' '.join(map(str, common))}, which all have" if common else ""
        raise PancextError(f"The models have different folds: {said}. Train these folds{way_out}.")
    return sorted(folds)


def validated_cases(
    models: Sequence[Model], folds: Sequence[int], *, splits: Sequence[set[str]], ending: str
) -> dict[int, list[str]]:
    """Return the cases by fold, the same for every model.

    `splits` are the validation cases of nnU-Net's splits_final.json, where there is one; a fold beyond it is
    nnU-Net's random 80:20 split, and then the models only have to agree.

    Raises:
        PancextError: a fold was not validated to its end, or on cases other than those of the split or of
            the other models; or a case is in two folds.
    """
    cases: dict[int, list[str]] = {}
    for fold in folds:
        by_model = {model.name: predicted_cases(model, fold, ending=ending) for model in models}
        if fold < len(splits):
            for model in models:
                _require_split(model, fold, by_model[model.name], splits[fold])
        else:
            _require_agreement(models, fold, by_model)
        cases[fold] = sorted(by_model[models[0].name])
    _require_disjoint(cases)
    return cases


def read_splits(path: Path) -> list[set[str]]:
    """Return the validation cases of each fold of nnU-Net's splits_final.json.

    Raises:
        PancextError: the file is no list of folds with validation cases.
    """
    content = read_json(path)
    try:
        return [set(map(str, _list(fold["val"]))) for fold in _list(content)]
    except (KeyError, TypeError) as error:
        raise PancextError(
            f'{path} is not nnU-Net\'s: it is no list of folds with their "train" and "val" cases. '
            "Write or copy it again, or delete it for nnU-Net to make another."
        ) from error


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(value)
    return value


def predicted_cases(model: Model, fold: int, *, ending: str) -> set[str]:
    """Return the cases that the model predicted in the fold's validation.

    Raises:
        PancextError: there are none.
    """
    folder = model.validation(fold)
    found = find_cases(folder, ending)
    if not found:
        what = "holds no prediction" if folder.is_dir() else "does not exist"
        raise PancextError(
            f"{model.name}, fold {fold} is not finished: {folder} {what}. {_validate(model, fold)}"
        )
    return found


def _begun(model: Model) -> set[int]:
    names = [path.name.removeprefix("fold_") for path in model.folder.glob("fold_*") if path.is_dir()]
    return {int(name) for name in names if name.isdecimal()}


def _nothing_begun(models: Sequence[Model]) -> str:
    on_all = [model.name for model in models if (model.folder / "fold_all").is_dir()]
    if not on_all:
        return f"No fold was trained in {models[0].folder}. Train with nnUNetv2_train."
    return (
        f"Of {', '.join(on_all)} only fold_all was trained: a model trained on all cases has none to be "
        "tested on. Train folds from 0 on with nnUNetv2_train."
    )


def _number(text: str) -> int:
    if text.isdecimal():
        return int(text)
    why = ": a model trained on all cases has none to be tested on" if text == "all" else ""
    raise PancextError(f"--folds takes numbers from 0, not {text!r}{why}.")


def _validate(model: Model, fold: int) -> str:
    return (
        f"Finish the training (--c), or validate it: nnUNetv2_train DATASET {model.configuration} {fold} "
        f"-tr {model.trainer} -p {model.plans} --val"
    )


def _require_split(model: Model, fold: int, predicted: set[str], expected: set[str]) -> None:
    if expected - predicted:
        missing = _listed("case", sorted(expected - predicted))
        raise PancextError(
            f"{model.name}, fold {fold} is not finished: {len(expected - predicted)} of {len(expected)} "
            f"cases are not in {model.validation(fold)}: {missing}. {_validate(model, fold)}"
        )
    if predicted - expected:
        raise PancextError(
            f"{model.name}, fold {fold} was validated on {_listed('case', sorted(predicted - expected))} "
            "too, which splits_final.json does not have in this fold. The split was changed after the "
            "training: put the former one back, or train anew."
        )


def _require_agreement(models: Sequence[Model], fold: int, by_model: Mapping[str, set[str]]) -> None:
    first, *others = (model.name for model in models)
    for other in others:
        only = [
            f"only {name} has {_listed('case', sorted(mine - theirs))}"
            for name, mine, theirs in (
                (first, by_model[first], by_model[other]),
                (other, by_model[other], by_model[first]),
            )
            if mine - theirs
        ]
        if only:
            raise PancextError(
                f"{first} and {other} were validated on different cases in fold {fold}: {'; '.join(only)}. "
                "Finish both, or train both on the same splits_final.json."
            )


def _require_disjoint(cases: Mapping[int, Sequence[str]]) -> None:
    seen: dict[str, int] = {}
    for fold, names in cases.items():
        for case in names:
            if case in seen:
                raise PancextError(
                    f"Case {case!r} is validated in fold {seen[case]} and in fold {fold}, so the folds "
                    "cannot be pooled. Compare one of them at a time with --folds."
                )
            seen[case] = fold


def _listed(what: str, items: Sequence[object]) -> str:
    shown = ", ".join(map(str, items[:MOST_LISTED]))
    rest = f" and {len(items) - MOST_LISTED} more" if len(items) > MOST_LISTED else ""
    return f"{what}{'' if len(items) == 1 else 's'} {shown}{rest}"
