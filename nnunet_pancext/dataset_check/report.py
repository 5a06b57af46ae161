"""The report of a check: a page with a picture of each case, worst first, and the same as JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from nnunet_pancext.dataset_check.judge import ERROR, WARNING, Finding
from nnunet_pancext.dataset_check.measure import CaseMeasure
from nnunet_pancext.dataset_check.slice_overlay import write_slice_overlay
from nnunet_pancext.errors import PancextError
from nnunet_pancext.figures.overlay import write_overlay
from nnunet_pancext.io.files import atomic_path, write_json
from nnunet_pancext.pages.page import render_page
from nnunet_pancext.pages.pictures import picture_html
from nnunet_pancext.pages.tables import Cell, sortable_table
from nnunet_pancext.raw_cases.source import SourceCase

REPORT_NAME, JSON_NAME = "report.html", "report.json"
MOST_PICTURES = 300  # a page of thousands opens in no browser
CHECK_STYLE = """
.error { color: #c62828; font-weight: 600; } .warning { color: var(--warn); font-weight: 600; }
td.text { white-space: normal; }
.findings th, .findings td { text-align: left; }
"""


def draw_cases(
    cases: Sequence[SourceCase],
    *,
    measures: Mapping[str, CaseMeasure],
    labels: Mapping[str, tuple[int, ...]],
    is_ct: bool,
    folder: Path,
    in_parallel: Callable[..., list],
) -> dict[str, Path]:
    """Draw each case whose image can be read, a volume through the centre of its label.

    A label is drawn voxel by voxel, also where its header places it elsewhere; where it cannot be drawn, the
    image is alone. Returns the pictures by case.
    """
    single = {name: values[0] for name, values in labels.items() if len(values) == 1}
    parts = {value for values in labels.values() for value in values} - set(single.values())
    drawn = {**single, **{f"label {value}": value for value in sorted(parts)}}

    def draw(case: SourceCase) -> tuple[str, Path] | None:
        target = folder / f"{case.case_id}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        measure = measures[case.case_id]
        for label in (case.label, None) if measure.labels else (None,):
            try:
                if len(measure.size or ()) == 2:
                    write_slice_overlay(
                        target, image=case.image, label=label, labels=drawn, title=case.case_id
                    )
                else:
                    write_overlay(
                        target,
                        image=case.image,
                        truth=label,
                        prediction=None,
                        labels=drawn,
                        title=case.case_id,
                        is_ct=is_ct,
                        by_voxel=True,
                    )
            except PancextError:
                continue  # what is wrong with the case is told anyway
            return case.case_id, target
        return None

    return dict(found for found in in_parallel(draw, cases, title="drawing") if found)


def write_check_report(
    out: Path,
    *,
    dataset: Path,
    measures: Mapping[str, CaseMeasure],
    findings: Mapping[str, Sequence[Finding]],
    pictures: Mapping[str, Path],
) -> Path:
    """Write report.json and report.html and return the latter. Cases are in the order of `findings`."""
    write_json(
        out / JSON_NAME,
        {
            "dataset": str(dataset.resolve()),
            "cases": [case_document(measures[case], found) for case, found in findings.items()],
        },
    )
    with_errors, with_warnings = (
        sum(any(one.level == level for one in found) for found in findings.values())
        for level in (ERROR, WARNING)
    )
    headlines = "".join(
        f'<div><dt>{name}</dt><dd class="number">{count}</dd></div>'
        for name, count in (
            ("cases", len(measures)),
            ("with errors", with_errors),
            ("with warnings", with_warnings),
        )
    )
    parts = [
        f'<section><dl class="headlines">{headlines}</dl></section>',
        f"<section>\n<h2>Findings</h2>\n{findings_html(findings)}\n</section>",
        f"<section>\n<h2>Cases, the worst first</h2>\n{gallery_html(findings, pictures)}\n</section>",
        f"<section>\n<h2>Measures</h2>\n{measures_html(measures, findings)}\n</section>",
    ]
    content = render_page(
        title=f"Check of {dataset.resolve().name}", parts=parts, style=CHECK_STYLE, scripted=True
    )
    target = out / REPORT_NAME
    with atomic_path(target) as partial:
        partial.write_text(content, encoding="utf-8")
    return target


def case_document(one: CaseMeasure, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return what report.json says of a case; numbers that are not known are null."""
    return {
        "case": one.case_id,
        "findings": [{"level": f.level, "kind": f.kind, "message": f.message} for f in findings],
        "size": one.size,
        "spacing_mm": one.spacing_mm,
        "lowest": one.lowest,
        "highest": one.highest,
        "orientation": None if one.orientation is None else str(one.orientation),
        "labels": {
            name: {
                "voxels": label.voxels,
                "volume_ml": label.volume_ml,
                "mean": None if math.isnan(label.mean) else label.mean,
            }
            for name, label in one.labels.items()
        },
    }


def findings_html(findings: Mapping[str, Sequence[Finding]]) -> str:
    """Return the table of all findings."""
    rows = [
        f'<tr><th scope="row">{escape(case)}</th><td class="{one.level}">{one.level}</td>'
        f'<td class="text">{escape(one.kind)}</td><td class="text">{escape(one.message)}</td></tr>'
        for case, found in findings.items()
        for one in found
    ]
    if not rows:
        return "<p>Nothing was found.</p>"
    return f'<div class="findings">\n{table_html(("case", "level", "finding", "details"), rows)}\n</div>'


def measures_html(measures: Mapping[str, CaseMeasure], findings: Mapping[str, Sequence[Finding]]) -> str:
    """Return the sortable table of findings, sizes, spacings, intensities and labels."""
    names = list(dict.fromkeys(name for one in measures.values() for name in one.labels))
    in_ml = any(label.volume_ml is not None for one in measures.values() for label in one.labels.values())
    rows = []
    for case, found in findings.items():
        one = measures[case]
        levels = [finding.level for finding in found]
        size, spacing = one.size or (), one.spacing_mm or ()
        row = [
            Cell(text=case),
            *(Cell(text=str(levels.count(level)), value=levels.count(level)) for level in (ERROR, WARNING)),
            Cell(text=" x ".join(map(str, size)), value=math.prod(size) if size else math.nan),
            Cell(text=" x ".join(f"{step:.2f}" for step in spacing), value=max(spacing, default=math.nan)),
            number_cell(one.lowest, "g"),
            number_cell(one.highest, "g"),
        ]
        for name in names:
            label = one.labels.get(name)
            if label is None:
                row += [number_cell(None, ""), number_cell(None, "")]
                continue
            amount = number_cell(label.volume_ml, ".1f") if in_ml else number_cell(label.voxels, "d")
            row += [amount, number_cell(label.mean, ".0f")]
        rows.append(row)
    headings = ["case", "errors", "warnings", "size", "spacing, mm", "lowest", "highest"]
    for name in names:
        headings += [f"{name}, {'mL' if in_ml else 'pixels'}", f"{name}, mean"]
    return sortable_table(headings, rows, name="cases and what was measured of them")


def number_cell(number: float | None, form: str) -> Cell:
    """Return a cell that sorts by the number; an empty one for None and nan, which come last."""
    if number is None or math.isnan(number):
        return Cell(text="", value=math.nan)
    return Cell(text=format(number, form), value=number)


def gallery_html(findings: Mapping[str, Sequence[Finding]], pictures: Mapping[str, Path]) -> str:
    """Return the pictures in the order of the findings."""
    figures = []
    for case, found in findings.items():
        if case not in pictures:
            continue
        told = ", ".join(f'<span class="{one.level}">{escape(one.kind)}</span>' for one in found)
        picture = picture_html(
            pictures[case], text=f"Slices of {case}, with the contours of its label where it has one"
        )
        figures.append(
            f"<figure>\n{picture}\n<figcaption><b>{escape(case)}</b> {told}</figcaption>\n</figure>"
        )
    if not figures:
        return "<p>There is no case to draw.</p>"
    rest = len(findings) - len(figures)
    more = f'<p class="soft">Without a picture: {rest} case(s).</p>' if rest else ""
    return f'<div class="gallery">\n{"".join(figures)}\n</div>{more}'


def table_html(headings: Sequence[str], rows: Sequence[str]) -> str:
    """Return a table of finished rows."""
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in headings)
    body = "\n".join(rows)
    table = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    return f'<div class="scroll">\n{table}\n</div>'
