"""Scores of every model on every case of its folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.comparison.probabilities import VoxelTally
from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.case import CaseFiles, score_case
from nnunet_pancext.evaluation.probabilities import PrecisionRecall
from nnunet_pancext.evaluation.scores import CaseScores
from nnunet_pancext.evaluation.targets import Targets
from nnunet_pancext.io.parallel import for_each
from nnunet_pancext.nnunet_files.models import Model


@dataclass(frozen=True, kw_only=True)
class _Work:
    model: Model
    fold: int
    case: str


@dataclass(frozen=True, kw_only=True)
class ModelScores:
    """The scores by model, and the precision-recall curves of all voxels by label and model."""

    scores: dict[str, list[CaseScores]]
    curves: dict[str, dict[str, PrecisionRecall]]


def score_models(
    models: Sequence[Model],
    cases: Mapping[int, Sequence[str]],
    *,
    truths: Path,
    targets: Targets,
    ending: str,
    probabilities: bool,
    jobs: int,
    show_progress: bool,
) -> ModelScores:
    """Return the scores by model, fold after fold, in the order of `cases`. Memory is that of `jobs` cases.

    With `probabilities` those beside each prediction are scored too; there are no curves without.

    Raises:
        PancextError: a prediction cannot be scored; the message names model, fold and case.
    """
    work = [
        _Work(model=model, fold=fold, case=case)
        for model in models
        for fold, names in cases.items()
        for case in names
    ]

    tally = VoxelTally()

    def score(one: _Work) -> CaseScores:
        predictions = one.model.validation(one.fold)
        files = CaseFiles(
            case=one.case,
            prediction=predictions / f"{one.case}{ending}",
            truth=truths / f"{one.case}{ending}",
            probabilities=predictions / f"{one.case}.npz" if probabilities else None,
        )
        try:
            return tally.take(one.model.name, score_case(files, targets=targets))
        except PancextError as error:
            raise PancextError(f"{one.model.name}, fold {one.fold}: {error}") from error

    done = for_each(score, work, jobs=jobs, title="scoring", show_progress=show_progress)
    scores: dict[str, list[CaseScores]] = {model.name: [] for model in models}
    for one, result in zip(work, done, strict=True):
        scores[one.model.name].append(result)
    return ModelScores(scores=scores, curves=tally.curves())
