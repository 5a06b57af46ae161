"""The scores of several models on the same cases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from nnunet_pancext.comparison.results import DatasetResults
from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.case import CaseFiles, score_case
from nnunet_pancext.evaluation.probabilities import PrecisionRecall, VoxelHistogram, precision_recall
from nnunet_pancext.evaluation.scores import METRICS, ML, CaseScores, metric_values
from nnunet_pancext.io.parallel import for_each
from nnunet_pancext.nnunet_files.models import Model


@dataclass(frozen=True, kw_only=True)
class ScoredCases:
    """Scores by model, each in the order of `cases`, as are `folds` and `patients`.

    `curves` are the precision-recall curves of all voxels by label and model; empty without probabilities.
    """

    cases: tuple[str, ...]
    folds: tuple[int, ...]
    patients: tuple[str, ...]
    scores: Mapping[str, Sequence[CaseScores]]
    curves: Mapping[str, Mapping[str, PrecisionRecall]] = field(default_factory=dict)

    @property
    def models(self) -> list[str]:
        """The names of the models."""
        return list(self.scores)

    @property
    def labels(self) -> list[str]:
        """The names of the labels, in the order of reports."""
        first = next(iter(self.scores.values()))
        return list(first[0].labels)

    def values(self, model: str, label: str, metric: str) -> NDArray[np.float64]:
        """Return one metric of one label for each case."""
        return np.array(metric_values(self.scores[model], label, metric), dtype=float)

    def true_volumes_ml(self, label: str) -> NDArray[np.float64]:
        """Return the true volume of the label in each case."""
        return self.values(self.models[0], label, "truth_volume_ml")

    @property
    def has_volumes(self) -> bool:
        """Whether the files of the label maps store what a volume needs."""
        return any(ML in case.units for case in self.scores[self.models[0]])

    def worst_cases(self, model: str, label: str, metric: str) -> list[tuple[str, float]]:
        """Return the cases in which the metric is defined with their values, worst first.

        A metric without a better direction counts as better when it is higher.
        """
        values = self.values(model, label, metric)
        order = np.argsort(-values if METRICS[metric].higher_is_better is False else values, kind="stable")
        return [(self.cases[index], float(values[index])) for index in order if not np.isnan(values[index])]

    def has_values(self, metric: str) -> bool:
        """Return whether the metric is defined in any case."""
        return any(
            not np.isnan(self.values(model, label, metric)).all()
            for model in self.models
            for label in self.labels
        )


def score_models(
    results: DatasetResults, *, patients: Sequence[str], probabilities: bool, jobs: int, show_progress: bool
) -> ScoredCases:
    """Score all cases of all models; at most `jobs` cases are in memory.

    With `probabilities` those beside each prediction are scored too; otherwise there are no curves. Errors
    name model, fold and case.
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
                before = by_model.get(model.name)
                by_model[model.name] = before + histogram if before else histogram
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
