"""A comparison as tables for other programs: nan and inf are written, what does not apply is empty."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from nnunet_pancext.comparison.compare import Comparison
from nnunet_pancext.comparison.paired import Difference, Row
from nnunet_pancext.comparison.strata import StratumRow
from nnunet_pancext.evaluation.scores import METRICS
from nnunet_pancext.io.files import atomic_path

COSTS = ("parameters", "multiply_adds", "epochs", "seconds_per_epoch", "hours", "peak_gb", "device")
TESTS = ("p", "p_holm", "rank_biserial", "wins", "ties", "losses")


def case_rows(comparison: Comparison) -> Iterable[dict[str, Any]]:
    """Yield a row for each trainer, case and label, with a column for each metric."""
    for model, scores in comparison.scored.scores.items():
        for fold, case in zip(comparison.scored.folds, scores, strict=True):
            for label, values in case.labels.items():
                keys = {"trainer": model, "fold": fold, "case": case.case, "label": label}
                yield keys | {metric: getattr(values, metric) for metric in METRICS}


def statistics_rows(comparison: Comparison) -> Iterable[dict[str, Any]]:
    """Yield a row for each trainer, label and metric over all folds, then one for each fold."""
    for row in [*comparison.rows, *comparison.by_fold]:
        low, high = row.interval if row.fold is None else ("", "")
        yield {
            "trainer": row.model,
            "label": row.label,
            "metric": row.metric,
            "fold": "all" if row.fold is None else row.fold,
            **_spread(row),
            "ci_low": low,
            "ci_high": high,
            **_tests(row.difference, comparison.reference),
        }


def strata_rows(comparison: Comparison) -> Iterable[dict[str, Any]]:
    """Yield a row for each trainer, label, size and metric."""
    for row in comparison.strata:
        keys = {"trainer": row.model, "label": row.label, "size": row.stratum, "metric": row.metric}
        yield keys | _spread(row)


def cost_rows(comparison: Comparison) -> Iterable[dict[str, Any]]:
    """Yield a row for each trainer; a number that is not known is replaced by the reason."""
    for cost in comparison.costs:
        yield {"trainer": cost.model} | {name: getattr(cost, name) for name in COSTS}


def _spread(row: Row | StratumRow) -> dict[str, Any]:
    return {name: getattr(row.spread, name) for name in ("n", "infinite", "mean", "sd", "median")}


def _tests(difference: Difference | None, reference: str) -> dict[str, Any]:
    if difference is None:
        columns = ("reference", "pairs", "patients", "difference", "difference_ci_low", "difference_ci_high")
        return dict.fromkeys([*columns, *TESTS], "")
    return {
        "reference": reference,
        "pairs": difference.pairs,
        "patients": difference.patients,
        "difference": difference.mean,
        "difference_ci_low": difference.interval[0],
        "difference_ci_high": difference.interval[1],
        **{name: getattr(difference, name) for name in TESTS},
    }


def _write(
    path: Path, comparison: Comparison, *, rows: Callable[[Comparison], Iterable[Mapping[str, Any]]]
) -> None:
    from pandas import DataFrame

    texts = [
        {name: f"{value:.10g}" if isinstance(value, float) else value for name, value in row.items()}
        for row in rows(comparison)
    ]
    columns = (
        None if texts else ["trainer", "label", "size", "metric", "n", "infinite", "mean", "sd", "median"]
    )
    with atomic_path(path) as partial_path:
        DataFrame(texts, columns=columns).to_csv(partial_path, index=False, lineterminator="\n")


write_cases_csv = partial(_write, rows=case_rows)
write_statistics_csv = partial(_write, rows=statistics_rows)
write_strata_csv = partial(_write, rows=strata_rows)
write_costs_csv = partial(_write, rows=cost_rows)
