"""A comparison as one self-contained HTML page."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nnunet_pancext.comparison.compare import Comparison
from nnunet_pancext.comparison.output import cells
from nnunet_pancext.comparison.output.cells import omitted_text, short_names
from nnunet_pancext.comparison.statistics import paired_differences
from nnunet_pancext.evaluation.scores import METRICS
from nnunet_pancext.figures.charts import difference_chart, strip_chart
from nnunet_pancext.pages.numbers import UNDEFINED, volume_text
from nnunet_pancext.pages.page import Cell, write_page
from nnunet_pancext.pages.pictures import Chart

# Widths in em of the columns of a printed table.
NAME_EM, VALUE_EM, SPREAD_EM, GROUP_EM = 10.0, 5.5, 9.0, 28.0
MEANING = (
    "CI: interval of the mean from {resamples} resamples of the patients (expanded percentiles, seed "
    "{seed}). "
    "Difference: the trainer minus {reference}, case by case, with its interval. p Holm: Wilcoxon's "
    "signed-rank test of these differences, corrected over all tests on this page, coloured below 0.05. "
    "r: rank-biserial correlation of the pairs, from -1 to 1, positive where the trainer is better. "
    "Win, tie, loss: cases; a tie is a difference of at most 0.001 in the metric's unit. "
    "n: cases with a value; (k paired): the reference has a value in only k of them, to which the "
    "difference, p, r, wins, ties and losses refer. (+k {infinite}): the mean before it excludes k infinite "
    "distances, of a label that only one of prediction and ground truth has; median, p, r, wins and losses "
    "include them. "
    "In the charts a box spans the quartiles, with a line at the median and a diamond at the mean. "
    "{dash}: undefined."
)


def write_comparison_page(
    path: Path, comparison: Comparison, *, further: Mapping[str, Any] | None = None
) -> None:
    """Write the page atomically; the parts of `write_page_with_cases` follow the worst cases."""
    scored, metric = comparison.scored, comparison.metrics[0]
    names = short_names(comparison)
    title, folds = METRICS[metric].title, ", ".join(map(str, comparison.folds))
    fold_word = "fold" if len(comparison.folds) == 1 else "folds"
    summary = (
        f"Mean {title} of {scored.labels[0]} over {len(scored.cases)} validation cases, {fold_word} {folds}. "
        f"{comparison.setting}. {omitted_text(comparison)}"
    )
    case_headings, case_rows = _cases(comparison)
    write_page(
        path,
        "comparison/output/page.html",
        title=f"Comparison of trainers on {comparison.dataset}",
        notes=comparison.remarks,
        comparison=comparison,
        names=names,
        cells=cells,
        METRICS=METRICS,
        metric=metric,
        metric_title=title,
        headlines=[comparison.row(model, scored.labels[0], metric) for model in names],
        summary=summary.strip(),
        charts={label: _charts(comparison, label) for label in scored.labels},
        meaning=MEANING.format(
            resamples=comparison.resamples,
            seed=comparison.seed,
            reference=names[comparison.reference],
            dash=UNDEFINED,
            infinite=cells.INFINITE,
        ),
        sizes=cells.size_groups(comparison),
        folds=cells.fold_groups(comparison),
        group_letters=GROUP_EM + SPREAD_EM * len(names),
        case_headings=case_headings,
        case_rows=case_rows,
        case_letters=2 * NAME_EM + VALUE_EM * (len(case_headings) - 2),
        further=further,
    )


def _charts(comparison: Comparison, label: str) -> dict[str, Chart | None]:
    names = short_names(comparison)
    charts: dict[str, Chart | None] = {}
    for metric in comparison.metrics:
        title = METRICS[metric].title
        scored = {
            name: comparison.scored.values(model, label, metric).tolist() for model, name in names.items()
        }
        if any(np.isfinite(values).any() for values in scored.values()):
            charts[f"{title}, by case"] = strip_chart(scored)
        differences = {
            name + cells.infinite_text(difference.infinite): (difference.mean, difference.interval)
            for model, name in names.items()
            if (difference := comparison.row(model, label, metric).difference)
        }
        caption = f"Mean difference in {title} to {names[comparison.reference]}, 95 % interval"
        charts[caption] = difference_chart(differences)
    return charts


def _cases(comparison: Comparison) -> tuple[list[str], list[list[Cell]]]:
    """Tabulate every case and label: the first metric of each model and its difference to the reference."""
    scored, metric = comparison.scored, comparison.metrics[0]
    names = short_names(comparison)
    others = [model for model in names if model != comparison.reference]
    volume_heading = [METRICS["truth_volume_ml"].title] if scored.has_volumes else []
    rows = []
    for label in scored.labels:
        values = {model: scored.values(model, label, metric) for model in names}
        changes = [paired_differences(values[model], values[comparison.reference]) for model in others]
        columns = [*((array, False) for array in values.values()), *((array, True) for array in changes)]
        volumes = scored.true_volumes_ml(label)
        for index, (case, fold) in enumerate(zip(scored.cases, scored.folds, strict=True)):
            rows.append(
                [
                    Cell(text=case),
                    Cell(text=str(fold), value=fold),
                    Cell(text=label),
                    *(_volume_cell(volumes[index]) for _ in volume_heading),
                    *(
                        Cell(text=cells.value_text(array[index], metric, signed=signed), value=array[index])
                        for array, signed in columns
                    ),
                ]
            )
    headings = ["case", "fold", "label", *volume_heading, *names.values()]
    return [*headings, *(f"{names[model]} - reference" for model in others)], rows


def _volume_cell(volume_ml: float) -> Cell:
    return Cell(text=UNDEFINED if math.isnan(volume_ml) else volume_text(volume_ml), value=volume_ml)
