"""A comparison as tables for other programs."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from nnunet_pancext.comparison.compare import Comparison
from nnunet_pancext.comparison.paired import Row
from nnunet_pancext.evaluation.scores import METRICS
from nnunet_pancext.io.files import atomic_path

ALL_FOLDS = "all"
STATISTICS = (
    *("trainer", "label", "metric", "fold", "n", "infinite", "mean", "sd", "median", "ci_low", "ci_high"),
    *("reference", "pairs", "patients", "difference", "difference_ci_low", "difference_ci_high"),
    *("p", "p_holm", "rank_biserial", "wins", "ties", "losses"),
)


def write_cases_csv(path: Path, comparison: Comparison) -> None:
    """Write a row for each trainer, case and label, with a column for each metric, atomically."""
    scored = comparison.scored
    rows = (
        [model, fold, one.case, label, *(_number(getattr(values, name)) for name in METRICS)]
        for model, scores in scored.scores.items()
        for fold, one in zip(scored.folds, scores, strict=True)
        for label, values in one.labels.items()
    )
    _write(path, ["trainer", "fold", "case", "label", *METRICS], rows)


def write_statistics_csv(path: Path, comparison: Comparison) -> None:
    """Write a row for each trainer, label and metric over all folds, then one for each fold, atomically.

    What does not apply is empty: a test of the reference with itself, an interval of one fold.
    """
    rows = [*comparison.rows, *comparison.by_fold]
    _write(path, STATISTICS, (_statistics(row, comparison.reference) for row in rows))


def write_strata_csv(path: Path, comparison: Comparison) -> None:
    """Write a row for each trainer, label, size and metric, atomically."""
    rows = (
        [row.model, row.label, row.stratum, row.metric, row.spread.n, row.spread.infinite]
        + [_number(value) for value in (row.spread.mean, row.spread.sd, row.spread.median)]
        for row in comparison.strata
    )
    heading = ["trainer", "label", "size", "metric", "n", "infinite", "mean", "sd", "median"]
    _write(path, heading, rows)


def write_costs_csv(path: Path, comparison: Comparison) -> None:
    """Write a row for each trainer, atomically; in place of a number that is not known stands the reason."""
    names = ("parameters", "multiply_adds", "epochs", "seconds_per_epoch", "hours", "peak_gb", "device")
    rows = (
        [cost.model]
        + [_number(value) if isinstance(value, float) else value for value in _fields(cost, names)]
        for cost in comparison.costs
    )
    _write(path, ["trainer", *names], rows)


def _statistics(row: Row, reference: str) -> list[object]:
    spread, one = row.spread, row.difference
    described: list[object] = [row.model, row.label, row.metric]
    described += [ALL_FOLDS if row.fold is None else row.fold, spread.n, spread.infinite]
    described += [_number(value) for value in (spread.mean, spread.sd, spread.median)]
    described += [""] * 2 if row.fold is not None else [_number(end) for end in row.interval]
    if one is None:
        return described + [""] * (len(STATISTICS) - len(described))
    tested = [_number(value) for value in (one.mean, *one.interval, one.p, one.p_holm, one.rank_biserial)]
    return [*described, reference, one.pairs, one.patients, *tested, one.wins, one.ties, one.losses]


def _fields(owner: object, names: Sequence[str]) -> list[object]:
    return [getattr(owner, name) for name in names]


def _number(value: float) -> str:
    return f"{value:.10g}"


def _write(path: Path, heading: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with atomic_path(path) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(heading)
        writer.writerows(rows)
