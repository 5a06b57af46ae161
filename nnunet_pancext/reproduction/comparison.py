"""The paper's figures beside ours and stock nnU-Net's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_pancext.io.files import read_json
from nnunet_pancext.pages.numbers import UNDEFINED
from nnunet_pancext.reproduction.choices import Trial
from nnunet_pancext.reproduction.plan import result_folder
from nnunet_pancext.reproduction.protocol import STOCK, Column, Experiment, Row, Table


@dataclass(frozen=True, kw_only=True)
class ComparisonRow:
    """A metric of a method: as the paper prints it, ours, and stock nnU-Net's; a dash where there is none.

    `cases` and `stock_cases` are how many were scored, which may be fewer than the paper's.
    """

    source: str
    method: str
    trainer: str
    metric: str
    paper: str
    ours: str
    stock: str
    cases: str
    stock_cases: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All rows of a trial."""

    trial: Trial
    rows: list[ComparisonRow]


def compare(trial: Trial, *, out: Path) -> Comparison:
    """Return the comparison of a trial, from the scores that there are under `out`."""
    names = dict.fromkeys((STOCK, *trial.trainers))
    summaries = {name: read_summary(result_folder(trial, name, out=out).summary) for name in names}
    numbers = {name: case_count(result_folder(trial, name, out=out).summary) for name in names}
    rows = []
    for table in (*trial.experiment.tables, *further_tables(trial.experiment)):
        for column in (one for one in table.columns if one.where):
            for row in table.rows:
                if row.trainer not in summaries:
                    continue
                printed = row.figures[table.columns.index(column)]
                rows.append(
                    ComparisonRow(
                        source=table.source,
                        method=row.method,
                        trainer=row.trainer,
                        metric=column.title,
                        paper=printed or UNDEFINED,
                        ours=score_text(summaries[row.trainer], column),
                        stock=score_text(summaries[STOCK], column),
                        cases=numbers[row.trainer],
                        stock_cases=numbers[STOCK],
                    )
                )
    return Comparison(trial=trial, rows=rows)


def further_tables(experiment: Experiment) -> list[Table]:
    """Return the columns that the paper does not have, for each of its methods, as a table."""
    methods = {row.trainer: row.method for table in experiment.tables for row in table.rows if row.trainer}
    nothing = tuple("" for _ in experiment.further)
    rows = tuple(Row(method=method, figures=nothing, trainer=trainer) for trainer, method in methods.items())
    return [Table(source=UNDEFINED, title="ours alone", columns=experiment.further, rows=rows)]


def read_summary(file: Path) -> dict[str, Any] | None:
    """Return the scores by label that `pancext evaluate` wrote, None where there are none."""
    return read_json(file, expect=dict).get("pancext", {}).get("labels") if file.is_file() else None


def case_count(file: Path) -> str:
    """Return how many cases `pancext evaluate` scored; a dash where it did not."""
    return (
        str(read_json(file, expect=dict).get("pancext", {}).get("cases", UNDEFINED))
        if file.is_file()
        else UNDEFINED
    )


def score_text(labels: Mapping[str, Any] | None, column: Column) -> str:
    """Return the score of a column as its paper would print it; a dash where there is none."""
    value = _mean(labels, column, column.where)
    if math.isnan(value):
        return UNDEFINED
    text = f"{value * column.scale:.{column.decimals}f}"
    if column.has_spread:
        sd = _mean(labels, column, column.where.removesuffix("mean") + "sd")
        text += "" if math.isnan(sd) else f" ± {sd * column.scale:.{column.decimals}f}"
    return text


def _mean(labels: Mapping[str, Any] | None, column: Column, where: str) -> float:
    values = []
    for label in column.labels:
        found: Any = (labels or {}).get(label, {})
        for key in where.split("."):
            found = found.get(key, math.nan) if isinstance(found, dict) else math.nan
        values.append(found if isinstance(found, (int, float)) else math.nan)
    return sum(values) / len(values) if values else math.nan
