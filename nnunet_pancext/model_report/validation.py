"""The scores of a model's validation cases, and notes about them."""

from collections.abc import Mapping
from dataclasses import dataclass

from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.folder import Evaluation, evaluate
from nnunet_pancext.evaluation.probabilities import HOW_VALIDATION_HAS_THEM
from nnunet_pancext.evaluation.scores import unmeasured_note
from nnunet_pancext.nnunet_files.model_folder import ModelFolder


@dataclass(frozen=True, kw_only=True)
class Validation:
    """The scores of all folds' validation cases, and the fold of each case."""

    evaluation: Evaluation
    fold_of: dict[str, str]


def score_validations(model: ModelFolder, *, jobs: int, show_progress: bool) -> Validation:
    """Score the validation predictions of every fold; a case is in one fold only.

    Probabilities are scored only if all cases have them, so that curves represent all cases.
    """
    scores, targets = [], None
    fold_of: dict[str, str] = {}
    with_probabilities, num_cases = count_probabilities(model)
    for fold in model.folds:
        if not fold.cases:
            continue
        twice = sorted(fold.cases & fold_of.keys())
        if twice:
            raise PancextError(
                f"Case {twice[0]!r} was validated in fold {fold_of[twice[0]]} and in fold {fold.name}. "
                "Report folds of one split, with --folds."
            )
        evaluation = evaluate(
            fold.validation,
            model.truth,
            labels=model.dataset.labels,
            file_ending=model.dataset.file_ending,
            jobs=jobs,
            probabilities=with_probabilities == num_cases,
            only=fold.cases,
            show_progress=show_progress,
        )
        targets = evaluation.targets
        scores += evaluation.scores
        fold_of |= dict.fromkeys(fold.cases, fold.name)
    if targets is None:
        raise PancextError(f"No fold of {model.folder} has a validation. Finish nnUNetv2_train.")
    scores.sort(key=lambda case: case.case)
    return Validation(evaluation=Evaluation(targets=targets, scores=scores, failures={}), fold_of=fold_of)


def count_probabilities(model: ModelFolder) -> tuple[int, int]:
    """Return how many validation cases have probabilities, and how many validation cases there are."""
    files = [fold.probabilities(case) for fold in model.folds for case in fold.cases]
    return sum(file.is_file() for file in files), len(files)


def cases_text(model: ModelFolder, fold_of: Mapping[str, str]) -> str:
    """Return the number of predicted cases, and whether the model was trained on them."""
    if any(fold.is_of_training_cases for fold in model.folds if fold.name in fold_of.values()):
        return f"{len(fold_of)} training cases, predicted by the model that trained on them"
    return f"{len(fold_of)}, each predicted by the fold that did not train on it"


def validation_notes(model: ModelFolder, validation: Validation) -> list[str]:
    """Return what a reader must know before reading the scores."""
    fold_of, scores = validation.fold_of, validation.evaluation.scores
    notes = [note for note in (unmeasured_note(scores),) if note]
    for fold in model.folds:
        scored = sum(name == fold.name for name in fold_of.values())
        if fold.is_of_training_cases and scored:
            notes.append(
                f"Fold {fold.name} trains on every case and is validated on the same: these scores say "
                "nothing about unseen cases."
            )
        if not scored:
            notes.append(f"Fold {fold.name} has no validation yet. {fold.how_to_complete}")
        elif not fold.is_validated:
            notes.append(
                f"The validation of fold {fold.name} is incomplete: it has no summary.json, and only the "
                f"{scored} predicted case{'' if scored == 1 else 's'} can be scored. {fold.how_to_complete}"
            )
    available, num_cases = count_probabilities(model)
    if available < num_cases:
        which = f"only {available} of {num_cases} cases have" if available else "no case has"
        notes.append(
            f"There are no precision-recall curves: {which} probabilities. {HOW_VALIDATION_HAS_THEM}."
        )
    omitted = [fold.name for fold in model.left_out if fold.is_of_training_cases]
    why = "is omitted: its validation cases are its training cases"
    return notes + [f"Fold {name} {why}. --folds {name} reports it alone." for name in omitted]
