"""Generates docs/reproduction.md: the papers' tables, and what in them can be reproduced."""

import sys
from pathlib import Path

from nnunet_pancext.io.files import write_text
from nnunet_pancext.pages.numbers import UNDEFINED
from nnunet_pancext.reproduction.comparison import bullets, markdown_table
from nnunet_pancext.reproduction.papers import PAPERS
from nnunet_pancext.reproduction.protocol import Paper, Table

INTRODUCTION = """\
# Reproducing the papers

`pancext reproduce PAPER` writes a paper's protocol as a campaign in `reproduction_output/PAPER` and runs it.
The download is converted with the paper's split; its model, the ablations of its tables and stock nnU-Net are
trained, with the paper's recipe where it gives one; the test set is predicted and scored with the paper's
aggregation. The results are printed as a table: the paper's figure beside ours and stock nnU-Net's. The same
command continues what was stopped.

- `--dry-run` shows the commands and an estimate of GPU-hours.
- `--plan` only writes the campaign, to be changed or run elsewhere, e.g. on Slurm with
  `pancext campaign run reproduction_output/PAPER --on slurm`.
- `--table` shows the results so far.

**None of these protocols has been run yet**, so this page has the papers' figures alone. Each table names
the place in its paper; the trainer beside a row is the one that reproduces it here.

This page is generated from the data in `nnunet_pancext/reproduction/papers/` by
`python -m nnunet_pancext.reproduction.document docs/reproduction.md`.
"""


def reproduction_document() -> str:
    """Return the page."""
    return "\n".join([INTRODUCTION, *(_paper_section(paper) for paper in PAPERS.values())])


def table_lines(table: Table) -> list[str]:
    """Return a paper's table with all its figures."""
    header = ["method", *(column.title for column in table.columns)]
    rows = [[row.method, *(figure or UNDEFINED for figure in row.figures)] for row in table.rows]
    if any(row.trainer for row in table.rows):
        header.append("trainer")
        for cells, row in zip(rows, table.rows, strict=True):
            cells.append(f"`{row.trainer}`" if row.trainer else "")
    return [f"{table.source}: {table.title}.", "", *markdown_table([header, *rows])]


def _paper_section(paper: Paper) -> str:
    parts = [
        f"## {paper.title}",
        f"`pancext reproduce {paper.name}`. The paper's hardware: {paper.hardware}.",
    ]
    for experiment in paper.experiments:
        dataset, folds = experiment.dataset, " ".join(experiment.folds)
        parts += [
            f"### {dataset.title}",
            f"`{dataset.folder}`, split `{dataset.split}`, configuration `{experiment.configuration}`, "
            f"fold `{folds}`.",
            *("\n".join(table_lines(table)) for table in experiment.tables),
            "Where our protocol differs:",
            bullets(experiment.differences),
        ]
    parts += ["\n".join(table_lines(table)) for table in paper.other_tables]
    return "\n\n".join([*parts, "What cannot be reproduced or settled:", bullets(paper.limits)]) + "\n"


if __name__ == "__main__":
    write_text(Path(sys.argv[1]), reproduction_document())
