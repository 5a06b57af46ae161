"""Comparisons as text, Markdown and CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import astuple, fields
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import atomic_path
from nnunet_pancext.pages.numbers import UNDEFINED
from nnunet_pancext.pages.text_table import text_table
from nnunet_pancext.reproduction.comparison import Comparison, ComparisonRow
from nnunet_pancext.reproduction.protocol import Paper

HEADER = ("source", "method", "metric", "paper", "ours", "stock nnU-Net", "cases", "cases, stock")


def format_results(comparisons: Sequence[Comparison]) -> str:
    """Return the tables for the console, each with its differences of protocol below it."""
    parts = []
    for one in comparisons:
        table = text_table([HEADER, *map(_cells, one.rows)])
        notes = "\n".join(f"- {note}" for note in one.trial.experiment.differences)
        parts.append(f"{_title(one)}\n\n{table}\n\n{notes}")
    return "\n\n".join(parts)


def format_markdown(paper: Paper, comparisons: Sequence[Comparison]) -> str:
    """Return the same as a page."""
    lines = [f"# {paper.name}: {paper.title}", ""]
    for one in comparisons:
        lines += [f"## {_title(one)}", "", *markdown_table(HEADER, map(_cells, one.rows)), ""]
        lines += [f"{UNDEFINED}: not printed by the paper, or not run yet.", ""]
        lines += ["Where the protocols differ:", ""]
        lines += [f"- {note}" for note in one.trial.experiment.differences] + [""]
    lines += ["## What cannot be reproduced", "", *(f"- {note}" for note in paper.limits)]
    return "\n".join(lines) + "\n"


def write_results(paper: Paper, comparisons: Sequence[Comparison], *, out: Path) -> list[Path]:
    """Write the page and the table PAPER.md and PAPER.csv under `out`, atomically, and return them."""
    page, table = out / f"{paper.name}.md", out / f"{paper.name}.csv"
    try:
        out.mkdir(parents=True, exist_ok=True)
        with atomic_path(page) as partial:
            partial.write_text(format_markdown(paper, comparisons), encoding="utf-8")
        with atomic_path(table) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(
                ["dataset", "configuration", "folds", *(one.name for one in fields(ComparisonRow))]
            )
            for one in comparisons:
                trial = one.trial
                setting = (trial.dataset.folder, trial.configuration, " ".join(trial.folds))
                writer.writerows([*setting, *astuple(row)] for row in one.rows)
    except OSError as error:
        raise PancextError(f"cannot write to {out}: {error.strerror}. Give another --out.") from error
    return [page, table]


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _title(one: Comparison) -> str:
    trial = one.trial
    return f"{trial.dataset.title}; {trial.configuration}, fold {' '.join(trial.folds)}"


def _cells(row: ComparisonRow) -> tuple[str, ...]:
    return (row.source, row.method, row.metric, row.paper, row.ours, row.stock, row.cases, row.stock_cases)
