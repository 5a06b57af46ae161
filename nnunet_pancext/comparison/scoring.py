"""Scores of every model on every case of its folds."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_pancext.comparison.models import Model
from nnunet_pancext.dataset_conversion.parallel import for_each
from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.folder import evaluate_folder
from nnunet_pancext.evaluation.scores import CaseScores
from nnunet_pancext.files import link_or_copy


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
    labels: Mapping[str, Any],
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
        try:
            return score_case(
                one.model.validation(one.fold), truths, case=one.case, labels=labels, ending=ending
            )
        except PancextError as error:
            raise PancextError(f"{one.model.name}, fold {one.fold}: {error}") from error

    done = for_each(score, work, jobs=jobs, title="scoring", show_progress=show_progress)
    scores: dict[str, list[CaseScores]] = {model.name: [] for model in models}
    for one, result in zip(work, done, strict=True):
        scores[one.model.name].append(result)
    return scores


def score_case(
    predictions: Path, truths: Path, *, case: str, labels: Mapping[str, Any], ending: str
) -> CaseScores:
    """Score one case: `evaluate_folder` on a folder that holds its truth alone.

    Raises:
        PancextError: as `evaluate_folder`.
    """
    with tempfile.TemporaryDirectory(prefix="pancext-compare-") as folder:
        link_or_copy(truths / f"{case}{ending}", Path(folder) / f"{case}{ending}")
        try:
            [scores] = evaluate_folder(predictions, Path(folder), labels=dict(labels), file_ending=ending)
        except PancextError as error:
            raise PancextError(str(error).replace(folder, str(truths))) from error
    return scores
