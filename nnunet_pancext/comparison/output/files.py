"""The files of a comparison: page, LaTeX, and CSV tables for other programs.

In CSV nan and inf are written; what does not apply is empty.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nnunet_pancext.comparison.compare import Comparison
from nnunet_pancext.comparison.output.cases_and_training import write_page_with_cases
from nnunet_pancext.comparison.output.latex import write_comparison_latex
from nnunet_pancext.evaluation.scores import METRICS
from nnunet_pancext.io.csv_table import write_csv
from nnunet_pancext.io.files import cannot_write

COSTS = ("parameters", "multiply_adds", "epochs", "seconds_per_epoch", "hours", "peak_gb", "device")
SPREAD = ("n", "infinite", "mean", "sd", "median")
TESTS = ("p", "p_holm", "rank_biserial", "wins", "ties", "losses")
PAIRS = ("reference", "pairs", "patients", "difference", "difference_ci_low", "difference_ci_high")
CsvRow = dict[str, Any]
Writer = Callable[[Path, Comparison], None]


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


def _table(*header: str, rows: Callable[[Comparison], Iterator[CsvRow]]) -> Writer:
    return lambda path, comparison: write_csv(path, header, rows(comparison))


PAGE_NAME = "comparison.html"
WRITERS: dict[str, Writer] = {
    "comparison.csv": _table("trainer", "fold", "case", "label", *METRICS, rows=case_rows),
    "statistics.csv": _table(
        *("trainer", "label", "metric", "fold", *SPREAD, "ci_low", "ci_high", *PAIRS, *TESTS),
        rows=statistics_rows,
    ),
    "strata.csv": _table("trainer", "label", "size", "metric", *SPREAD, rows=strata_rows),
    "cost.csv": _table("trainer", *COSTS, rows=cost_rows),
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
