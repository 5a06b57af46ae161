"""All files of a comparison."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from nnunet_pancext.comparison.compare import Comparison
from nnunet_pancext.comparison.output.cases_and_training import write_page_with_cases
from nnunet_pancext.comparison.output.csv_tables import (
    case_rows,
    cost_rows,
    statistics_rows,
    strata_rows,
    write_csv,
)
from nnunet_pancext.comparison.output.latex import write_comparison_latex
from nnunet_pancext.io.files import cannot_write

PAGE_NAME = "comparison.html"
WRITERS: dict[str, Callable[[Path, Comparison], None]] = {
    "comparison.csv": partial(write_csv, rows=case_rows),
    "statistics.csv": partial(write_csv, rows=statistics_rows),
    "strata.csv": partial(write_csv, rows=strata_rows),
    "cost.csv": partial(write_csv, rows=cost_rows),
    "comparison.tex": write_comparison_latex,
    PAGE_NAME: write_page_with_cases,
}


def write_comparison(out: Path, comparison: Comparison) -> Path:
    """Write tables, LaTeX and page to the folder `out`, each atomically; return the page.

    Raises:
        PancextError: the folder cannot be written to.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, write in WRITERS.items():
            write(out / name, comparison)
    except OSError as error:
        raise cannot_write(out, error) from error
    return out / PAGE_NAME
