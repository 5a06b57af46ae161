"""The paper's figures beside ours and stock nnU-Net's, as text, Markdown and CSV."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.csv_table import write_csv
from nnunet_pancext.io.files import read_json, write_text
from nnunet_pancext.pages.numbers import UNDEFINED
from nnunet_pancext.pages.text_table import text_table
from nnunet_pancext.reproduction.campaign import result_paths
from nnunet_pancext.reproduction.protocol import STOCK, Column, Experiment, Paper, Row, Table
from nnunet_pancext.reproduction.selection import PlannedRun

HEADER = ("source", "method", "metric", "paper", "ours", "stock nnU-Net", "cases", "cases, stock")


class ComparisonRow(NamedTuple):
    """A metric of a method: as the paper prints it, ours, and stock nnU-Net's; a dash where undefined."""

    source: str
    method: str
    trainer: str
    metric: str
    paper: str
    ours: str
    stock: str
    cases: str  # that were scored, maybe fewer than the paper's
    stock_cases: str


@dataclass(frozen=True, kw_only=True)
class PaperComparison:
    """A planned run with a row for each metric and method."""

    run: PlannedRun
    rows: list[ComparisonRow]

    @property
    def title(self) -> str:
        """Dataset, configuration and folds."""
        return f"{self.run.dataset.title}; {self.run.configuration}, fold {' '.join(self.run.folds)}"

    @property
    def cells(self) -> list[tuple[str, ...]]:
        """The rows of the printed table, its header first."""
        return [HEADER, *(row[:2] + row[3:] for row in self.rows)]


def compare(run: PlannedRun, *, folder: Path) -> PaperComparison:
    """Return the comparison of a run, from the scores available in its campaign's folder."""
    scores = {name: _scores(folder / result_paths(run, name)[1]) for name in (STOCK, *run.trainers)}
    stock = scores[STOCK]
    rows = [
        ComparisonRow(
            source=table.source,
            method=row.method,
            trainer=row.trainer,
            metric=column.title,
            paper=row.figures[place] or UNDEFINED,
            ours=score_text(scores[row.trainer].get("labels"), column),
            stock=score_text(stock.get("labels"), column),
            cases=str(scores[row.trainer].get("cases", UNDEFINED)),
            stock_cases=str(stock.get("cases", UNDEFINED)),
        )
        for table in (*run.experiment.tables, _further_table(run.experiment))
        for place, column in enumerate(table.columns)
        if column.where
        for row in table.rows
        if row.trainer in scores
    ]
    return PaperComparison(run=run, rows=rows)


def _further_table(experiment: Experiment) -> Table:
    """Return the columns that the paper does not have, for each of its methods."""
    methods = {row.trainer: row.method for table in experiment.tables for row in table.rows if row.trainer}
    blank = ("",) * len(experiment.further)
    rows = tuple(Row(method, blank, trainer) for trainer, method in methods.items())
    return Table(source=UNDEFINED, title="ours alone", columns=experiment.further, rows=rows)


def score_text(labels: Mapping[str, Any] | None, column: Column) -> str:
    """Return the score of a column as its paper would print it; a dash where it is undefined."""
    value = _mean(labels, column, column.where)
    if math.isnan(value):
        return UNDEFINED
    text = f"{value * column.scale:.{column.decimals}f}"
    if column.has_spread:
        sd = _mean(labels, column, column.where.removesuffix("mean") + "sd")
        text += "" if math.isnan(sd) else f" ± {sd * column.scale:.{column.decimals}f}"
    return text


def _scores(folder: Path) -> dict[str, Any]:
    """Return what `pancext evaluate` wrote of cases and labels; empty where there are no scores."""
    summary = folder / "summary.json"
    return read_json(summary, expect=dict).get("pancext", {}) if summary.is_file() else {}


def _mean(labels: Mapping[str, Any] | None, column: Column, where: str) -> float:
    values = []
    for label in column.labels:
        score: Any = (labels or {}).get(label, {})
        for key in where.split("."):
            score = score.get(key, math.nan) if isinstance(score, dict) else math.nan
        values.append(score if isinstance(score, (int, float)) else math.nan)
    return sum(values) / len(values) if values else math.nan


def format_results(comparisons: Sequence[PaperComparison]) -> str:
    """Return the tables for the console, each with the differences in protocol below it."""
    parts = [(c.title, text_table(c.cells), bullets(c.run.experiment.differences)) for c in comparisons]
    return "\n\n".join("\n\n".join(texts) for texts in parts)


def write_results(paper: Paper, comparisons: Sequence[PaperComparison], *, out: Path) -> list[Path]:
    """Write PAPER.md and PAPER.csv under `out`, atomically, and return their paths."""
    page, table = out / f"{paper.name}.md", out / f"{paper.name}.csv"
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_text(page, _page(paper, comparisons))
        rows = [
            {
                "dataset": comparison.run.dataset.folder,
                "configuration": comparison.run.configuration,
                "folds": " ".join(comparison.run.folds),
                **row._asdict(),
            }
            for comparison in comparisons
            for row in comparison.rows
        ]
        write_csv(table, ["dataset", "configuration", "folds", *ComparisonRow._fields], rows)
    except OSError as error:
        raise PancextError(f"cannot write to {out}: {error.strerror}. Give another --out.") from error
    return [page, table]


def markdown_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table; its header is the first of the rows."""
    header, *others = [f"| {' | '.join(cells)} |" for cells in rows]
    return [header, f"| {' | '.join(['---'] * len(rows[0]))} |", *others]


def bullets(notes: Sequence[str]) -> str:
    """Return a list for the console and for Markdown."""
    return "\n".join(f"- {note}" for note in notes)


def _page(paper: Paper, comparisons: Sequence[PaperComparison]) -> str:
    parts = [f"# {paper.name}: {paper.title}"]
    for comparison in comparisons:
        parts += [
            f"## {comparison.title}",
            "\n".join(markdown_table(comparison.cells)),
            f"{UNDEFINED}: not printed in the paper, or not run yet.",
            "Where the protocols differ:",
            bullets(comparison.run.experiment.differences),
        ]
    return "\n\n".join([*parts, "## What cannot be reproduced", bullets(paper.limits)]) + "\n"
