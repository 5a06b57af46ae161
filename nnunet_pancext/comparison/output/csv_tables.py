"""A comparison as tables for other programs: nan and inf are written, what does not apply is empty."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nnunet_pancext.comparison.compare import Comparison
from nnunet_pancext.io.files import atomic_path

COSTS = ("parameters", "multiply_adds", "epochs", "seconds_per_epoch", "hours", "peak_gb", "device")
SPREAD = ("n", "infinite", "mean", "sd", "median")
TESTS = ("p", "p_holm", "rank_biserial", "wins", "ties", "losses")
PAIRS = ("reference", "pairs", "patients", "difference", "difference_ci_low", "difference_ci_high")
CsvRow = dict[str, Any]


def case_rows(comparison: Comparison) -> Iterator[CsvRow]:
    """Yield a row for each trainer, case and label, with a column for each metric."""
    for model, scores in comparison.scored.scores.items():
        for fold, case in zip(comparison.scored.folds, scores, strict=True):
            for label, values in case.labels.items():
                yield {"trainer": model, "fold": fold, "case": case.case, "label": label, **vars(values)}


def statistics_rows(comparison: Comparison) -> Iterator[CsvRow]:
    """Yield a row for each trainer, label and metric over all folds, then one for each fold."""
    for row in [*comparison.rows, *comparison.by_fold]:
        low, high = row.interval if row.fold is None else ("", "")
        difference = row.difference
        tests: CsvRow = dict.fromkeys([*PAIRS, *TESTS], "")
        if difference is not None:
            pairs = (comparison.reference, difference.pairs, difference.patients, difference.mean)
            tests = dict(zip(PAIRS, (*pairs, *difference.interval), strict=True))
            tests |= _columns(difference, TESTS)
        yield {
            "trainer": row.model,
            "label": row.label,
            "metric": row.metric,
            "fold": "all" if row.fold is None else row.fold,
            **_columns(row.spread, SPREAD),
            "ci_low": low,
            "ci_high": high,
            **tests,
        }


def strata_rows(comparison: Comparison) -> Iterator[CsvRow]:
    """Yield a row for each trainer, label, size and metric."""
    for row in comparison.strata:
        keys = {"trainer": row.model, "label": row.label, "size": row.stratum, "metric": row.metric}
        yield keys | _columns(row.spread, SPREAD)


def cost_rows(comparison: Comparison) -> Iterator[CsvRow]:
    """Yield a row for each trainer; a number that is not known is replaced by the reason."""
    for cost in comparison.costs:
        yield {"trainer": cost.model} | _columns(cost, COSTS)


def _columns(record: object, names: tuple[str, ...]) -> CsvRow:
    return {name: getattr(record, name) for name in names}


def write_csv(path: Path, comparison: Comparison, *, rows: Callable[[Comparison], Iterator[CsvRow]]) -> None:
    """Write one of the tables above, atomically."""
    from pandas import DataFrame

    texts = [
        {name: f"{value:.10g}" if isinstance(value, float) else value for name, value in row.items()}
        for row in rows(comparison)
    ]
    columns = None if texts else ["trainer", "label", "size", "metric", *SPREAD]  # of empty strata
    with atomic_path(path) as partial_path:
        DataFrame(texts, columns=columns).to_csv(partial_path, index=False, lineterminator="\n")
