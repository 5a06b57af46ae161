"""Scores of every model on every case of its folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from threading import Lock

from nnunet_pancext.comparison.results import DatasetResults
from nnunet_pancext.comparison.scored_cases import ScoredCases
from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.case import CaseFiles, score_case
from nnunet_pancext.evaluation.probabilities import PrecisionRecall, VoxelHistogram, precision_recall
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
    tally = VoxelTally()

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
            return tally.take(model.name, score_case(files, targets=results.targets))
        except PancextError as error:
            raise PancextError(f"{model.name}, fold {fold.name}: {error}") from error

    work = [(model, case) for model in results.models for case in fold_of]
    done = iter(for_each(score, work, jobs=jobs, title="scoring", show_progress=show_progress))
    scores = {model.name: [next(done) for _ in fold_of] for model in results.models}
    return ScoredCases(
        cases=tuple(fold_of),
        folds=tuple(fold_of.values()),
        patients=tuple(patients),
        scores=scores,
        curves=tally.curves(),
    )


class VoxelTally:
    """Sums the voxels of all cases by label and model: a histogram of each case would not fit in memory."""

    def __init__(self) -> None:
        self._sums: dict[str, dict[str, VoxelHistogram]] = {}
        self._lock = Lock()

    def take(self, model: str, scores: CaseScores) -> CaseScores:
        """Add the histograms of a case, and return its scores without them. Thread-safe."""
        with self._lock:
            for label, histogram in scores.histograms.items():
                sums = self._sums.setdefault(label, {})
                sums[model] = sums[model] + histogram if model in sums else histogram
        return replace(scores, histograms={})

    def curves(self) -> dict[str, dict[str, PrecisionRecall]]:
        """Return the precision-recall curve of each label by model."""
        return {
            label: {model: precision_recall(histogram) for model, histogram in sums.items()}
            for label, sums in self._sums.items()
        }
