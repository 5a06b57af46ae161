"""The page about one trained model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from nnunet_pancext.evaluation.folder import Evaluation
from nnunet_pancext.evaluation.score_html import headlines_html
from nnunet_pancext.evaluation.scores import METRICS
from nnunet_pancext.evaluation.summary_statistics import SummaryStatistics
from nnunet_pancext.evaluation.totals import total
from nnunet_pancext.evaluation.totals_table import found_text
from nnunet_pancext.pages.numbers import UNDEFINED, score_text, volume_text
from nnunet_pancext.pages.page import facts_html, notes_html, render_page, section
from nnunet_pancext.pages.pictures import Chart, Shown, charts_html, picture_html
from nnunet_pancext.pages.tables import Cell, sortable_table

SUMMARY = (
    "dice", "iou", "precision", "recall", "specificity", "accuracy", "f1", "nsd_1mm", "nsd_2mm", "hd95_mm",
    "assd_mm", "volume_ml", "truth_volume_ml", "volume_error_ml",
)  # fmt: skip
CASE_COLUMNS = (
    "dice", "precision", "recall", "nsd_2mm", "hd95_mm", "truth_volume_ml", "volume_error_ml",
    "lesions", "lesions_found", "false_positives",
)  # fmt: skip
COUNTS = ("lesions", "lesions_found", "false_positives")
CURVES = "Precision and recall of voxels"

MODEL_STYLE = """\
.summary thead th:first-child { text-align: left; padding-left: 0; }
.sortable th, .sortable td { padding: .4rem .45rem; }
.sortable thead th { white-space: normal; } .sortable th:first-child { padding-left: 0; }
@media print {
  .sortable table { font-size: 7pt; }
  .sortable th, .sortable td { padding: .2rem .25rem; white-space: normal; }
  .sortable thead th { font-size: 6.5pt; }
  .sortable tbody th { min-width: 5rem; overflow-wrap: anywhere; }
}"""


def model_page(
    evaluation: Evaluation,
    *,
    title: str,
    facts: Sequence[tuple[str, str]],
    fold_of: Mapping[str, str],
    gallery: Sequence[Shown],
    distributions: Mapping[str, Chart],
    training: Mapping[str, Chart],
    precision_recall: Chart | None,
    maps: Sequence[Shown],
    notes: Sequence[str],
    attention_hint: str = "",
) -> str:
    """Return the page: summary, distributions, training, curves, pictures and a table of all cases.

    `distributions`, `training` and `precision_recall` are charts; `fold_of` gives each case's fold.
    `attention_hint` stands in the place of `maps` where there are none.
    """
    labels = {name: evaluation.targets.regions[name] for name in evaluation.targets.declared}
    values = {name: list(several) if len(several) > 1 else several[0] for name, several in labels.items()}
    parts = [
        section("Results", headlines_html(evaluation.scores, values)),
        section("All metrics", _summary(evaluation)),
        section("Distributions", charts_html(distributions)),
        section("Worst, median and best", _pictures(gallery)),
        section("Cases", _case_table(evaluation, fold_of)),
        section(CURVES, charts_html({CURVES: precision_recall} if precision_recall else {}, captions=False)),
        section("What the network attends to", _pictures(maps) or _soft(attention_hint)),
        section("Training", charts_html(training)),
        section("Model", facts_html(facts)),
    ]
    return render_page(title=title, parts=parts, notes=notes_html(notes), style=MODEL_STYLE, scripted=True)


def metric_text(name: str, value: float) -> str:
    """A value of a metric for people: counts whole, distances and volumes short, ratios to 3 places."""
    if math.isnan(value):
        return UNDEFINED
    if math.isinf(value):
        return "\N{INFINITY}"
    if name in COUNTS:
        return f"{value:.0f}"
    if name.endswith("_ml"):
        return ("\N{MINUS SIGN}" if value < 0 else "") + volume_text(abs(value))
    return f"{value:.1f}" if name in ("hd95_mm", "assd_mm") else score_text(value)


def _summary(evaluation: Evaluation) -> str:
    totals = {name: total(evaluation.scores, name) for name in evaluation.targets.regions}
    heading = "".join(f'<th scope="col">{escape(name)}</th>' for name in totals)
    rows = [
        (METRICS[metric].title, [_mean_sd(metric, one.per_volume[metric]) for one in totals.values()])
        for metric in SUMMARY
    ]
    rows += [
        (METRICS[metric].title, [score_text(one.per_slice[metric]) for one in totals.values()])
        for metric in next(iter(totals.values())).per_slice
    ]
    rows += [
        ("slices with target", [str(one.slices) for one in totals.values()]),
        ("lesions detected", [found_text(one) for one in totals.values()]),
        ("false positives per scan", [f"{one.false_positives_per_scan:.2f}" for one in totals.values()]),
    ]
    curves = [one.voxel_curve for one in totals.values()]
    if any(curve is not None for curve in curves):
        rows += [
            ("AP of voxels", [score_text(one.average_precision if one else math.nan) for one in curves]),
            ("AUROC of patients", [score_text(one.patient_auroc) for one in totals.values()]),
            ("AP of patients", [score_text(one.patient_average_precision) for one in totals.values()]),
        ]
    body = "\n".join(_row(title, cells) for title, cells in rows)
    infinite = any(one.per_volume[metric].infinite for one in totals.values() for metric in SUMMARY)
    note = (
        '\n<p class="soft">(+n): n cases more, where only one of prediction and truth holds the label.</p>'
        if infinite
        else ""
    )
    return (
        '<div class="scroll summary"><table>\n<thead><tr><th scope="col">mean ± SD over the cases</th>'
        f"{heading}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>{note}"
    )


def _row(title: str, cells: Sequence[str]) -> str:
    data = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f'<tr><th scope="row">{escape(title)}</th>{data}</tr>'


def _mean_sd(metric: str, spread: SummaryStatistics) -> str:
    text = metric_text(metric, spread.mean)
    if not math.isnan(spread.sd):
        text += f" ± {metric_text(metric, spread.sd)}"
    return text + (f" (+{spread.infinite})" if spread.infinite else "")


def _case_table(evaluation: Evaluation, fold_of: Mapping[str, str]) -> str:
    rows = []
    for case in evaluation.scores:
        for label, scores in case.labels.items():
            values = {name: getattr(scores, name) for name in CASE_COLUMNS}
            rows.append(
                [
                    Cell(text=case.case),
                    Cell(text=fold_of.get(case.case, "")),
                    Cell(text=label),
                    *(Cell(text=metric_text(name, value), value=value) for name, value in values.items()),
                ]
            )
    heading = ["case", "fold", "label", *(METRICS[name].title for name in CASE_COLUMNS)]
    return sortable_table(heading, rows, name="scores of all cases")


def _soft(text: str) -> str:
    return f'<p class="soft">{escape(text)}</p>' if text else ""


def _pictures(shown: Sequence[Shown]) -> str:
    figures = [
        f"<figure>\n{picture_html(one.picture, text=f'Slices of {one.case}: {one.why}')}\n"
        f"<figcaption><b>{escape(one.case)}</b> · {escape(one.why)}</figcaption>\n</figure>"
        for one in shown
    ]
    return f'<div class="gallery">\n{"".join(figures)}\n</div>' if figures else ""
