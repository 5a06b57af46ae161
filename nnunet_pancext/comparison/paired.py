"""Every metric of every model: described over the cases, and tested against the reference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nnunet_pancext.comparison.scored_cases import ScoredCases
from nnunet_pancext.comparison.statistics import (
    ALPHA,
    Bootstrap,
    Interval,
    Values,
    holm,
    paired_differences,
    rank_biserial,
    signed_rank_p,
    wins_ties_losses,
)
from nnunet_pancext.evaluation.scores import METRICS
from nnunet_pancext.evaluation.summary_statistics import SummaryStatistics, summary_statistics


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A model minus the reference, over the cases in which both have the metric.

    `only_model` and `only_reference` count the cases that are left out because one of the two alone has it.
    `mean` and `interval` are in the metric's unit, over the pairs in which both are finite; `infinite` counts
    the others. `rank_biserial`, wins and losses are positive where the model is the better one. `p_holm` is
    nan outside the family of tests.
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
    def is_significant(self) -> bool:
        """Whether the corrected p lies below 0.05."""
        return self.p_holm < ALPHA


@dataclass(frozen=True, kw_only=True)
class Row:
    """One metric of one label of one model: over all folds together (`fold` is None), or in one.

    `difference` is None for the reference, in single folds, and for metrics without a better direction.
    """

    model: str
    label: str
    metric: str
    fold: int | None
    spread: SummaryStatistics
    interval: Interval
    difference: Difference | None


def compare_rows(
    scored: ScoredCases, *, reference: str, family: Sequence[str], seed: int, resamples: int
) -> list[Row]:
    """Return the pooled rows of all metrics that have values, in the order label, metric, model.

    Holm's correction goes over one family: every model but the reference, every label, and the metrics in
    `family`.
    """
    bootstrap = Bootstrap(scored.patients, seed=seed, resamples=resamples)
    rows = []
    for label in scored.labels:
        for metric in filter(scored.has_values, METRICS):
            theirs = scored.values(reference, label, metric)
            for model in scored.models:
                ours = scored.values(model, label, metric)
                direction = METRICS[metric].higher_is_better
                difference = None
                if model != reference and direction is not None:
                    difference = compare_pairs(
                        ours,
                        theirs,
                        higher_is_better=direction,
                        patients=scored.patients,
                        bootstrap=bootstrap,
                    )
                rows.append(
                    Row(
                        model=model,
                        label=label,
                        metric=metric,
                        fold=None,
                        spread=summary_statistics(ours),
                        interval=bootstrap.mean_interval(ours),
                        difference=difference,
                    )
                )
    return correct(rows, family=family)


def fold_rows(scored: ScoredCases, folds: Sequence[int]) -> list[Row]:
    """Return the rows of each fold by itself, without intervals and tests."""
    return [
        Row(
            model=model,
            label=label,
            metric=metric,
            fold=fold,
            spread=summary_statistics(scored.values(model, label, metric)[scored.in_fold(fold)]),
            interval=(math.nan, math.nan),
            difference=None,
        )
        for label in scored.labels
        for metric in filter(scored.has_values, METRICS)
        for model in scored.models
        for fold in folds
    ]


def compare_pairs(
    ours: Values, theirs: Values, *, higher_is_better: bool, patients: Sequence[str], bootstrap: Bootstrap
) -> Difference:
    """Compare a model with the reference, case by case.

    The signed-rank test and its effect size take a patient with several cases once, with the mean of each
    model over them. `p_holm` is left nan.
    """
    sign = 1.0 if higher_is_better else -1.0
    differences = paired_differences(ours, theirs)
    by_patient = sign * _by_patient(ours, theirs, patients)
    wins, ties, losses = wins_ties_losses(sign * differences)
    finite = np.where(np.isfinite(ours) & np.isfinite(theirs), differences, math.nan)
    pairs = int(np.count_nonzero(~np.isnan(differences)))
    return Difference(
        pairs=pairs,
        only_model=int(np.count_nonzero(~np.isnan(ours))) - pairs,
        only_reference=int(np.count_nonzero(~np.isnan(theirs))) - pairs,
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


def correct(rows: Sequence[Row], *, family: Sequence[str]) -> list[Row]:
    """Return the rows with Holm's p in those of the family."""
    tested = [row.difference for row in rows if row.difference is not None and row.metric in family]
    corrected = iter(holm([difference.p for difference in tested]))
    return [
        replace(row, difference=replace(row.difference, p_holm=next(corrected)))
        if row.difference is not None and row.metric in family
        else row
        for row in rows
    ]


def _by_patient(ours: Values, theirs: Values, patients: Sequence[str]) -> Values:
    """One difference for each patient with a pair."""
    paired = ~np.isnan(ours) & ~np.isnan(theirs)
    names, owner = np.unique(np.asarray(patients)[paired], return_inverse=True)
    cases = np.bincount(owner, minlength=len(names))
    first, second = (np.bincount(owner, weights=values[paired]) / cases for values in (ours, theirs))
    # Equal means of different cases may differ in their last bit.
    return np.where(np.isclose(first, second, rtol=1e-9, atol=0), 0.0, paired_differences(first, second))
