"""The scores of several models on the same cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nnunet_pancext.evaluation.probabilities import PrecisionRecall
from nnunet_pancext.evaluation.scores import METRICS, CaseScores, metric_values


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
