"""The scores of a model's validation cases, and what a reader must know of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.folder import Evaluation, evaluate
from nnunet_pancext.evaluation.probabilities import HOW_VALIDATION_HAS_THEM
from nnunet_pancext.io.label_maps import find_cases
from nnunet_pancext.nnunet_files.model_folder import Fold, ModelFolder


@dataclass(frozen=True, kw_only=True)
class Validation:
    """The scores of all folds' validation cases, and the fold of each case."""

    evaluation: Evaluation
    fold_of: dict[str, str]


def score_validations(model: ModelFolder, *, jobs: int, show_progress: bool) -> Validation:
    """Score the validation predictions of every fold against the truth; a case is in one fold only.

    Probabilities are scored where all cases have them: a curve of some cases would pass for that of all.

    Raises:
        PancextError: a prediction has no truth or cannot be scored, or a case is in two folds.
    """
    scores, targets = [], None
    fold_of: dict[str, str] = {}
    with_probabilities, cases_there = count_probabilities(model)
    for fold in model.folds:
        if fold.validation is None:
            continue
        cases = find_cases(fold.validation, model.dataset.file_ending)
        twice = sorted(cases & fold_of.keys())
        if twice:
            raise PancextError(
                f"Case {twice[0]!r} was validated in fold {fold_of[twice[0]]} and in fold {fold.name}. "
                "Report folds of one split, with --folds."
            )
        found = evaluate(
            fold.validation,
            model.truth,
            labels=model.dataset.labels,
            file_ending=model.dataset.file_ending,
            jobs=jobs,
            probabilities=with_probabilities == cases_there,
            only=cases,
            show_progress=show_progress,
        )
        targets = found.targets
        scores += found.scores
        fold_of |= dict.fromkeys(cases, fold.name)
    if targets is None:
        raise PancextError(f"No fold of {model.folder} has a validation. Let nnUNetv2_train end.")
    scores.sort(key=lambda one: one.case)
    return Validation(evaluation=Evaluation(targets=targets, scores=scores, failures={}), fold_of=fold_of)


def count_probabilities(model: ModelFolder) -> tuple[int, int]:
    """Return how many validation cases have probabilities, and how many there are."""
    files = [
        fold.validation / f"{case}.npz"
        for fold in model.folds
        if fold.validation is not None
        for case in find_cases(fold.validation, model.dataset.file_ending)
    ]
    return sum(file.is_file() for file in files), len(files)


def cases_text(model: ModelFolder, fold_of: Mapping[str, str]) -> str:
    """Say how many cases were predicted, and by which models: a training case is never called held out."""
    if any(fold.is_of_training_cases for fold in model.folds if fold.name in fold_of.values()):
        return f"{len(fold_of)} training cases, predicted by the model that trained on them"
    return f"{len(fold_of)}, each predicted by the fold that did not train on it"


def validation_notes(model: ModelFolder, fold_of: Mapping[str, str]) -> list[str]:
    """Return what must be known of the cases before their scores are read."""
    notes = []
    for fold in model.folds:
        scored = sum(name == fold.name for name in fold_of.values())
        if fold.is_of_training_cases and scored:
            notes.append(
                f"Fold {fold.name} trains on every case and is validated on the same: these scores say "
                "nothing of cases that the model has not seen."
            )
        notes += _unfinished(fold, scored=scored)
    found, there = count_probabilities(model)
    if found < there:
        which = f"only {found} of {there} cases have" if found else "no case has"
        notes.append(
            f"There are no precision-recall curves: {which} probabilities. {HOW_VALIDATION_HAS_THEM}."
        )
    notes += [
        f"Fold {fold.name} is left out: its validation cases are its training cases. "
        f"--folds {fold.name} reports it alone."
        for fold in model.left_out
        if fold.is_of_training_cases
    ]
    return notes


def _unfinished(fold: Fold, *, scored: int) -> list[str]:
    if not scored:
        return [f"Fold {fold.name} has no validation yet."]
    if fold.is_validated:
        return []
    cases = "1 case that is" if scored == 1 else f"{scored} cases that are"
    return [
        f"The validation of fold {fold.name} has not ended: it has no summary.json, and only the {cases} "
        "there can be scored. nnUNetv2_train with --val does the rest."
    ]
