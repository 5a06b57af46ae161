"""Scores of every model on every case of its folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from threading import Lock

from nnunet_pancext.comparison.results import DatasetResults
from nnunet_pancext.comparison.scored_cases import ScoredCases
from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.case import CaseFiles, score_case
from nnunet_pancext.evaluation.probabilities import VoxelHistogram, precision_recall
from nnunet_pancext.evaluation.scores import CaseScores
from nnunet_pancext.io.parallel import for_each
from nnunet_pancext.nnunet_files.models import Model


def score_models(
    results: DatasetResults,
    *,
    patients: Sequence[str],
    probabilities: bool,
    jobs: int,
    show_progress: bool,
) -> ScoredCases:
    """Score all cases of all models; at most `jobs` cases are in memory.

    With `probabilities` those beside each prediction are scored too; otherwise there are no curves.

    Raises:
        PancextError: a prediction cannot be scored; the message names model, fold and case.
    """
    fold_of = results.fold_of
    # Voxels of all cases by label and model: a histogram of each case would not fit in memory.
    sums: dict[str, dict[str, VoxelHistogram]] = {}
    lock = Lock()

    def score(work: tuple[Model, str]) -> CaseScores:
        model, case = work
        fold = model.fold(fold_of[case])
        files = CaseFiles(
            case=case,
            prediction=fold.prediction(case),
            truth=results.truth(case),
            probabilities=fold.probabilities(case) if probabilities else None,
        )
        try:
            scores = score_case(files, targets=results.targets)
        except PancextError as error:
            raise PancextError(f"{model.name}, fold {fold.name}: {error}") from error
        with lock:
            for label, histogram in scores.histograms.items():
                by_model = sums.setdefault(label, {})
                by_model[model.name] = (
                    by_model[model.name] + histogram if model.name in by_model else histogram
                )
        return replace(scores, histograms={})

    work = [(model, case) for model in results.models for case in fold_of]
    done = iter(for_each(score, work, jobs=jobs, title="scoring", show_progress=show_progress))
    scores = {model.name: [next(done) for _ in fold_of] for model in results.models}
    return ScoredCases(
        cases=tuple(fold_of),
        folds=tuple(fold_of.values()),
        patients=tuple(patients),
        scores=scores,
        curves={
            label: {model: precision_recall(histogram) for model, histogram in by_model.items()}
            for label, by_model in sums.items()
        },
    )
