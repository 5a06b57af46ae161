"""A comparison as one HTML page that needs nothing beside itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from pathlib import Path

from nnunet_pancext.comparison.compare import Comparison
from nnunet_pancext.comparison.output.cells import (
    COST_HEADINGS,
    COST_MEANING,
    INFINITE,
    Group,
    change_text,
    cost_cells,
    cost_reasons,
    effect_text,
    fold_groups,
    infinite_text,
    interval_text,
    mean_text,
    n_text,
    p_text,
    size_groups,
    value_text,
)
from nnunet_pancext.comparison.output.names import left_out_text, short_names
from nnunet_pancext.comparison.output.plot import PLOT_STYLE, difference_plot, range_text, strip_plot
from nnunet_pancext.comparison.paired import Row
from nnunet_pancext.comparison.statistics import paired_differences
from nnunet_pancext.comparison.worst import worst_cases
from nnunet_pancext.evaluation.scores import METRICS
from nnunet_pancext.io.files import atomic_path
from nnunet_pancext.pages.numbers import UNDEFINED, volume_text
from nnunet_pancext.pages.page import notes_html, render_page, section
from nnunet_pancext.pages.soft_wrap import soft_wrap
from nnunet_pancext.pages.tables import Cell, sortable_table

WORST_SHOWN = 5
GROUP_MEANING = "Mean ± SD, and median. n: cases with a value, of each trainer in turn where it differs."
# A printed table is never wider than a sheet: its letters are the smaller the more text stands in a row.
COMPARISON_STYLE = """
thead th, tbody th { white-space: normal; }
thead th:first-child { padding-left: 0; text-align: left; }
th, td { padding: .4rem .6rem; } .sortable td, .sortable tbody th { white-space: nowrap; }
.sortable thead th { min-width: 5.5rem; overflow-wrap: anywhere; }
.left thead th, .left td.text { text-align: left; } td.text { white-space: normal; }
td.name { text-align: left; } .left td.text { min-width: 16rem; }
.grouped thead th:nth-child(2), .grouped thead th:nth-child(3) { text-align: left; }
@media print {
  .scroll table, .scroll thead th { font-size: min(8pt, calc(500pt / var(--letters, 75))); }
  .scroll th, .scroll td, .sortable td, .sortable tbody th { padding: .3em .4em; white-space: normal; }
  .scroll thead th:first-child, .scroll tbody th { padding-left: 0; }
  .left td.text { min-width: 0; } .grouped td.name { min-width: 4em; }
  .sortable thead th { min-width: 3em; overflow-wrap: anywhere; }
  .sortable tbody th { min-width: 9em; overflow-wrap: anywhere; }
  .plots { grid-template-columns: 1fr 1fr; }
  .gallery figure { max-width: none; } .gallery img { width: auto; max-width: 100%; max-height: 23cm; }
}
.headlines small { font-size: 1rem; } .grouped td .soft { font-size: .85em; }
tr.metric th { padding-top: 1rem; color: var(--soft); font-size: .85em; }
tr.significant td.p { color: var(--accent); font-weight: 650; }
"""
# Widths in em of the columns of a printed table.
NAME_EM, VALUE_EM, SPREAD_EM, GROUP_EM = 10.0, 5.5, 9.0, 28.0
MEANING = (
    "CI: interval of the mean from {resamples} resamples of the patients (expanded percentiles, seed "
    "{seed}). "
    "Difference: the trainer minus {reference}, case by case, with its interval. p Holm: of Wilcoxon's "
    "signed-rank test of these differences, corrected over all tests on this page, below 0.05 in colour. "
    "r: rank-biserial correlation of the pairs, from -1 to 1, positive where the trainer is better. "
    "Win, tie, loss: cases; a tie is a difference of at most 0.001 in the metric's unit. "
    "n: cases with a value; (k paired): only in k of them has the reference one too, and the difference, p, "
    "r, wins, ties and losses are of these. (+k {infinite}): k infinite distances, of a label that one side "
    "lacks, are left out of the mean before it; they are in the median, p, r, wins and losses. "
    "{dash}: undefined."
)


def write_comparison_page(path: Path, comparison: Comparison, *, further: str = "") -> None:
    """Write the page atomically; all texts are escaped. `further` sections stand after the worst cases."""
    labels = comparison.scored.labels
    parts = [
        f"<section>\n{headlines_html(comparison)}\n</section>",
        *(section(label, label_html(comparison, label)) for label in labels),
        section("How to read the tables", f"<p>{escape(_meaning(comparison))}</p>"),
        section(
            "By size of the label", groups_html(comparison, size_groups(comparison), heading="true size")
        ),
        section("By fold", groups_html(comparison, fold_groups(comparison), heading="fold")),
        section("Worst cases", worst_html(comparison)),
        further,
        section("Cost", cost_html(comparison)),
        section("Cases", cases_html(comparison)),
    ]
    page = render_page(
        title=f"Comparison of trainers on {comparison.dataset}",
        parts=parts,
        notes=notes_html(comparison.remarks),
        style=PLOT_STYLE + COMPARISON_STYLE,
        scripted=True,
    )
    with atomic_path(path) as partial:
        partial.write_text(page, encoding="utf-8")


def headlines_html(comparison: Comparison) -> str:
    """The first metric of each model over the first label, and what was compared."""
    scored, metric = comparison.scored, comparison.metrics[0]
    label = scored.labels[0]
    items = []
    for model, name in short_names(comparison).items():
        row = comparison.row(model, label, metric)
        is_reference = model == comparison.reference
        first = ' class="first"' if is_reference else ""
        role = "reference" if is_reference else _verdict(row)
        items.append(
            f"<div{first}><dt>{soft_wrap(name)}</dt>"
            f'<dd class="number">{value_text(row.spread.mean, metric)}'
            f"<small>{infinite_text(row.spread.infinite)}</small></dd>"
            f'<dd class="soft">{role}<br>n {n_text(row)}</dd></div>'
        )
    folds = ", ".join(map(str, comparison.folds))
    what = (
        f"Mean {METRICS[metric].title} of {label} over {len(scored.cases)} validation cases, folds {folds}. "
        f"{comparison.setting}. {left_out_text(comparison)}"
    )
    return f'<dl class="headlines">\n{"".join(items)}\n</dl>\n<p class="soft">{escape(what.strip())}</p>'


def label_html(comparison: Comparison, label: str) -> str:
    """Pictures and table of one label."""
    plots = []
    names = short_names(comparison)
    for metric in comparison.metrics:
        values = [(name, comparison.scored.values(model, label, metric)) for model, name in names.items()]
        title = METRICS[metric].title
        said = "; ".join(f"{name}: {range_text(array, metric)}" for name, array in values)
        plots.append(_figure(strip_plot(values, metric=metric, text=f"{title}. {said}"), f"{title}, by case"))
        rows = [comparison.row(model, label, metric) for model in comparison.scored.models]
        differences = [(names[row.model], row.difference) for row in rows if row.difference is not None]
        caption = f"Mean difference in {title} to {names[comparison.reference]}, 95 % interval"
        plots.append(_figure(difference_plot(differences, metric=metric, text=caption), caption))
    headings = ["trainer", "n", "mean ± SD", "95 % CI", "median", "difference", "95 % CI", "p Holm", "r"]
    headings += ["win/tie/loss"]
    body = []
    for metric in comparison.metrics:
        body.append(
            f'<tr class="metric"><th colspan="{len(headings)}">{escape(METRICS[metric].title)}</th></tr>'
        )
        body += [_row_html(comparison.row(model, label, metric), name) for model, name in names.items()]
    return f'<div class="plots">\n{"".join(plots)}\n</div>\n{_table(headings, body)}'


def worst_html(comparison: Comparison) -> str:
    """The worst cases of each model and label by the first metric."""
    metric = comparison.metrics[0]
    rows = []
    for label in comparison.scored.labels:
        for model, name in short_names(comparison).items():
            worst = worst_cases(comparison.scored, model=model, label=label, metric=metric)[:WORST_SHOWN]
            said = ", ".join(f"{one.case} ({value_text(one.value, metric)})" for one in worst)
            rows.append(
                f'<tr><th scope="row">{escape(label)}</th><td class="name">{soft_wrap(name)}</td>'
                f'<td class="text">{escape(said) or UNDEFINED}</td></tr>'
            )
    headings = ["label", "trainer", f"by {METRICS[metric].title}, the worst first"]
    return f'<div class="left">\n{_table(headings, rows)}\n</div>'


def cost_html(comparison: Comparison) -> str:
    """What each model costs, and why something is not known."""
    names = short_names(comparison)
    rows = [
        f'<tr><th scope="row">{soft_wrap(names[cost.model])}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in cost_cells(cost))
        + "</tr>"
        for cost in comparison.costs
    ]
    named = [replace(cost, model=names[cost.model]) for cost in comparison.costs]
    reasons = "".join(f'<p class="soft">{escape(reason)}</p>' for reason in cost_reasons(named))
    return f'{_table(["trainer", *COST_HEADINGS], rows)}\n<p class="soft">{escape(COST_MEANING)}</p>{reasons}'


def cases_html(comparison: Comparison) -> str:
    """Every case and label with the first metric of each model and its difference, to be sorted."""
    scored, metric = comparison.scored, comparison.metrics[0]
    title = METRICS[metric].title
    names = short_names(comparison)
    others = [model for model in scored.models if model != comparison.reference]
    rows = []
    for label in scored.labels:
        values = {model: scored.values(model, label, metric) for model in scored.models}
        volumes = scored.true_volumes_ml(label)
        changes = {model: paired_differences(values[model], values[comparison.reference]) for model in others}
        for index, case in enumerate(scored.cases):
            row = [
                Cell(text=case),
                Cell(text=str(scored.folds[index]), value=scored.folds[index]),
                Cell(text=label),
                Cell(text=_volume(volumes[index]), value=volumes[index]),
            ]
            for one in values.values():
                row.append(Cell(text=value_text(one[index], metric), value=one[index]))
            for one in changes.values():
                row.append(Cell(text=value_text(one[index], metric, signed=True), value=one[index]))
            rows.append(row)
    headings = ["case", "fold", "label", "true volume, mL", *names.values()]
    headings += [f"{names[model]} - reference" for model in others]
    note = f'<p class="soft">{escape(title)} of each case. A click on a heading sorts.</p>'
    table = sortable_table(headings, rows, name=f"{title} by case")
    letters = 2 * NAME_EM + VALUE_EM * (len(headings) - 2)
    return f'<div style="--letters:{letters:g}">\n{table}\n</div>\n{note}'


def _row_html(row: Row, name: str) -> str:
    spread, one = row.spread, row.difference
    cells = [n_text(row), mean_text(spread, row.metric), interval_text(row.interval, row.metric)]
    cells.append(value_text(spread.median, row.metric))
    if one is None:
        rest = "<td></td>" * 5
    else:
        change = change_text(one, row.metric)
        interval = interval_text(one.interval, row.metric, signed=True)
        rest = (
            f'<td>{change}</td><td>{interval}</td><td class="p">{escape(p_text(one.p_holm))}</td>'
            f"<td>{effect_text(one)}</td><td>{one.wins}/{one.ties}/{one.losses}</td>"
        )
    kind = ' class="significant"' if one is not None and one.is_significant else ""
    body = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f'<tr{kind}><th scope="row">{soft_wrap(name)}</th>{body}{rest}</tr>'


def groups_html(comparison: Comparison, groups: Sequence[Group], *, heading: str) -> str:
    """A row for each label, metric and group, a column for each model."""
    rows = []
    for group in groups:
        cells = "".join(
            f"<td>{escape(mean_text(spread, group.metric))}<br>"
            f'<span class="soft">median {value_text(spread.median, group.metric)}</span></td>'
            for spread in group.spreads.values()
        )
        title = escape(METRICS[group.metric].title)
        rows.append(
            f'<tr><th scope="row">{escape(group.label)}</th><td class="name">{title}</td>'
            f'<td class="name">{escape(group.title)}</td><td>{group.n_text}</td>{cells}</tr>'
        )
    if not rows:
        return ""
    headings = ["label", "metric", heading, "n", *short_names(comparison).values()]
    note = f'<p class="soft">{escape(GROUP_MEANING)}</p>'
    letters = GROUP_EM + SPREAD_EM * len(comparison.scored.models)
    return f'<div class="grouped" style="--letters:{letters:g}">\n{_table(headings, rows)}\n</div>\n{note}'


def _verdict(row: Row) -> str:
    one = row.difference
    if one is None or math.isnan(one.p):
        return "" if one is None else "no pair of cases"
    change = change_text(one, row.metric)
    # The direction is that of r: a mean difference leaves infinite distances out.
    return escape(f"{change}, p {p_text(one.p_holm)}, r {effect_text(one)}")


def _volume(volume_ml: float) -> str:
    return UNDEFINED if math.isnan(volume_ml) else volume_text(volume_ml)


def _meaning(comparison: Comparison) -> str:
    return MEANING.format(
        resamples=comparison.resamples,
        seed=comparison.seed,
        reference=short_names(comparison)[comparison.reference],
        dash=UNDEFINED,
        infinite=INFINITE,
    )


def _figure(picture: str, caption: str) -> str:
    return f"<figure>\n{picture}\n<figcaption>{escape(caption)}</figcaption>\n</figure>" if picture else ""


def _table(headings: Sequence[str], rows: Sequence[str]) -> str:
    head = "".join(f'<th scope="col">{soft_wrap(heading)}</th>' for heading in headings)
    body = "\n".join(rows)
    table = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    return f'<div class="scroll">\n{table}\n</div>'
