"""The worst cases of a model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnunet_pancext.comparison.scored_cases import ScoredCases
from nnunet_pancext.evaluation.scores import METRICS


@dataclass(frozen=True, kw_only=True)
class WorstCase:
    """A case and the value of the model's metric."""

    case: str
    fold: int
    value: float


def worst_cases(scored: ScoredCases, *, model: str, label: str, metric: str) -> list[WorstCase]:
    """Return the cases in which the metric is defined, worst first, ties in the order of cases.

    A metric without a better direction counts as better when it is higher.
    """
    values = scored.values(model, label, metric)
    order = np.argsort(-values if METRICS[metric].higher_is_better is False else values, kind="stable")
    return [
        WorstCase(case=scored.cases[index], fold=scored.folds[index], value=float(values[index]))
        for index in order
        if not np.isnan(values[index])
    ]
