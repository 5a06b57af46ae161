"""Every metric of every model: summarized over the cases, and tested against the reference."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nnunet_pancext.comparison.scored_cases import ScoredCases
from nnunet_pancext.comparison.statistics import (
    ALPHA,
    UNDEFINED,
    Bootstrap,
    Interval,
    Values,
    holm,
    paired_differences,
    rank_biserial,
    signed_rank_p,
    wins_ties_losses,
)
from nnunet_pancext.evaluation.scores import METRICS, SummaryStatistics, summary_statistics


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A model minus the reference, over the cases in which the metric is defined for both.

    `only_model` and `only_reference` count the cases in which it is defined for one alone. `mean` and
    `interval` are in the metric's unit, over the finite pairs; `infinite` counts the others. `rank_biserial`
    is positive and wins exceed losses where the model is better. `p_holm` is nan outside the family of tests.
    """

    pairs: int
    only_model: int
    only_reference: int
    infinite: int
    patients: int
    mean: float
    interval: Interval
    p: float
    p_holm: float
    rank_biserial: float
    wins: int
    ties: int
    losses: int

    @property
    def is_partial(self) -> bool:
        """Whether the metric is defined for one of the two alone in some case."""
        return bool(self.only_model or self.only_reference)

    @property
    def is_significant(self) -> bool:
        """Whether the corrected p is below 0.05."""
        return self.p_holm < ALPHA


@dataclass(frozen=True, kw_only=True)
class Row:
    """One metric of one label of one model, over all cases or over those of a `fold` or a `stratum` of sizes.

    `difference` is None for the reference, in parts of the cases, and for metrics without a better direction.
    """

    model: str
    label: str
    metric: str
    spread: SummaryStatistics
    fold: int | None = None
    stratum: str = ""
    interval: Interval = UNDEFINED
    difference: Difference | None = None


def compare_rows(
    scored: ScoredCases, *, reference: str, family: Sequence[str], seed: int, resamples: int
) -> list[Row]:
    """Return the pooled rows of all metrics that have values, in the order label, metric, model.

    Holm's correction covers one family: every model but the reference, every label, the metrics in `family`.
    """
    bootstrap = Bootstrap(scored.patients, seed=seed, resamples=resamples)
    rows = []
    for label in scored.labels:
        for metric in filter(scored.has_values, METRICS):
            baseline = scored.values(reference, label, metric)
            direction = METRICS[metric].higher_is_better
            for model in scored.models:
                values = scored.values(model, label, metric)
                difference = None
                if model != reference and direction is not None:
                    difference = _compare_pairs(
                        values, baseline, sign=1 if direction else -1, bootstrap=bootstrap
                    )
                rows.append(
                    Row(
                        model=model,
                        label=label,
                        metric=metric,
                        spread=summary_statistics(values),
                        interval=bootstrap.mean_interval(values),
                        difference=difference,
                    )
                )
    # Holm's correction, in the rows of the family.
    tested = [row.difference.p if row.difference and row.metric in family else math.nan for row in rows]
    return [
        replace(row, difference=row.difference and replace(row.difference, p_holm=p))
        for row, p in zip(rows, holm(tested), strict=True)
    ]


def fold_rows(scored: ScoredCases, folds: Sequence[int]) -> list[Row]:
    """Return the rows of each single fold, without intervals and tests."""
    return [
        Row(
            model=model,
            label=label,
            metric=metric,
            fold=fold,
            spread=summary_statistics(scored.values(model, label, metric)[np.array(scored.folds) == fold]),
        )
        for label in scored.labels
        for metric in filter(scored.has_values, METRICS)
        for model in scored.models
        for fold in folds
    ]


def _compare_pairs(values: Values, baseline: Values, *, sign: int, bootstrap: Bootstrap) -> Difference:
    """Compare a model with the reference, case by case; `sign` is 1 where higher is better, else -1.

    A patient with several cases enters the signed-rank test and its effect size once, with each model's mean
    over them. `p_holm` is left nan.
    """
    differences = paired_differences(values, baseline)
    by_patient = sign * _by_patient(values, baseline, bootstrap.patients)
    wins, ties, losses = wins_ties_losses(sign * differences)
    finite = np.where(np.isfinite(values) & np.isfinite(baseline), differences, math.nan)
    pairs = int(np.count_nonzero(~np.isnan(differences)))
    return Difference(
        pairs=pairs,
        only_model=int(np.count_nonzero(~np.isnan(values))) - pairs,
        only_reference=int(np.count_nonzero(~np.isnan(baseline))) - pairs,
        infinite=pairs - int(np.count_nonzero(np.isfinite(finite))),
        patients=len(by_patient),
        mean=summary_statistics(finite).mean,
        interval=bootstrap.mean_interval(finite),
        p=signed_rank_p(by_patient),
        p_holm=math.nan,
        rank_biserial=rank_biserial(by_patient),
        wins=wins,
        ties=ties,
        losses=losses,
    )


def _by_patient(values: Values, baseline: Values, patients: Sequence[str]) -> Values:
    """Return the difference of the two models' means for each patient with a value of both."""
    paired = ~np.isnan(values) & ~np.isnan(baseline)
    names, owner = np.unique(np.asarray(patients)[paired], return_inverse=True)
    cases = np.bincount(owner, minlength=len(names))
    first, second = (np.bincount(owner, weights=scores[paired]) / cases for scores in (values, baseline))
    # Equal means of different cases may differ in their last bit.
    return np.where(np.isclose(first, second, rtol=1e-9, atol=0), 0.0, paired_differences(first, second))
