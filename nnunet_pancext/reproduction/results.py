"""Comparisons with a paper as text, Markdown and CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import astuple, fields
from operator import attrgetter
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import atomic_path
from nnunet_pancext.pages.numbers import UNDEFINED
from nnunet_pancext.pages.text_table import text_table
from nnunet_pancext.reproduction.comparison import ComparisonRow, PaperComparison
from nnunet_pancext.reproduction.protocol import Paper

HEADER = ("source", "method", "metric", "paper", "ours", "stock nnU-Net", "cases", "cases, stock")
CELLS = attrgetter("source", "method", "metric", "paper", "ours", "stock", "cases", "stock_cases")


def format_results(comparisons: Sequence[PaperComparison]) -> str:
    """Return the tables for the console, each with the differences in protocol below it."""
    parts = []
    for comparison in comparisons:
        table = text_table([HEADER, *map(CELLS, comparison.rows)])
        notes = "\n".join(f"- {note}" for note in comparison.run.experiment.differences)
        parts.append(f"{comparison.title}\n\n{table}\n\n{notes}")
    return "\n\n".join(parts)


def write_results(paper: Paper, comparisons: Sequence[PaperComparison], *, out: Path) -> list[Path]:
    """Write PAPER.md and PAPER.csv under `out`, atomically, and return their paths."""
    page, table = out / f"{paper.name}.md", out / f"{paper.name}.csv"
    try:
        out.mkdir(parents=True, exist_ok=True)
        with atomic_path(page) as partial:
            partial.write_text(_page(paper, comparisons), encoding="utf-8")
        with atomic_path(table) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            columns = [field.name for field in fields(ComparisonRow)]
            writer.writerow(["dataset", "configuration", "folds", *columns])
            for comparison in comparisons:
                run = comparison.run
                setting = (run.dataset.folder, run.configuration, " ".join(run.folds))
                writer.writerows([*setting, *astuple(row)] for row in comparison.rows)
    except OSError as error:
        raise PancextError(f"cannot write to {out}: {error.strerror}. Give another --out.") from error
    return [page, table]


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _page(paper: Paper, comparisons: Sequence[PaperComparison]) -> str:
    lines = [f"# {paper.name}: {paper.title}", ""]
    for comparison in comparisons:
        lines += [f"## {comparison.title}", "", *markdown_table(HEADER, map(CELLS, comparison.rows)), ""]
        lines += [
            f"{UNDEFINED}: not printed in the paper, or not run yet.",
            "",
            "Where the protocols differ:",
            "",
        ]
        lines += [*(f"- {note}" for note in comparison.run.experiment.differences), ""]
    lines += ["## What cannot be reproduced", "", *(f"- {note}" for note in paper.limits)]
    return "\n".join(lines) + "\n"
