"""Scores of every model on every case of its folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.comparison.models import Model
from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.case import CaseFiles, score_case
from nnunet_pancext.evaluation.scores import CaseScores
from nnunet_pancext.evaluation.targets import Targets
from nnunet_pancext.parallel import for_each


@dataclass(frozen=True, kw_only=True)
class _Work:
    model: Model
    fold: int
    case: str


def score_models(
    models: Sequence[Model],
    cases: Mapping[int, Sequence[str]],
    *,
    truths: Path,
    targets: Targets,
    ending: str,
    jobs: int,
    show_progress: bool,
) -> dict[str, list[CaseScores]]:
    """Return the scores by model, fold after fold, in the order of `cases`. Memory is that of `jobs` cases.

    Raises:
        PancextError: a prediction cannot be scored; the message names model, fold and case.
    """
    work = [
        _Work(model=model, fold=fold, case=case)
        for model in models
        for fold, names in cases.items()
        for case in names
    ]

    def score(one: _Work) -> CaseScores:
        files = CaseFiles(
            case=one.case,
            prediction=one.model.validation(one.fold) / f"{one.case}{ending}",
            truth=truths / f"{one.case}{ending}",
        )
        try:
            return score_case(files, targets=targets)
        except PancextError as error:
            raise PancextError(f"{one.model.name}, fold {one.fold}: {error}") from error

    done = for_each(score, work, jobs=jobs, title="scoring", show_progress=show_progress)
    scores: dict[str, list[CaseScores]] = {model.name: [] for model in models}
    for one, result in zip(work, done, strict=True):
        scores[one.model.name].append(result)
    return scores
