"""The report of a check: a page with a figure of each case, worst first, and the same as JSON."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nnunet_pancext.dataset_check.finding import ERROR, WARNING, Finding
from nnunet_pancext.dataset_check.judge import CheckResult
from nnunet_pancext.dataset_check.measure import CaseMeasure
from nnunet_pancext.dataset_check.slice_overlay import write_slice_overlay
from nnunet_pancext.errors import PancextError
from nnunet_pancext.figures.overlay import write_overlay
from nnunet_pancext.io.console_text import shown_name
from nnunet_pancext.io.files import write_json
from nnunet_pancext.io.unreadable import UnreadableImage
from nnunet_pancext.pages.page import Cell, write_page
from nnunet_pancext.raw_cases.source import SourceCase

REPORT_NAME, JSON_NAME = "report.html", "report.json"
MOST_PICTURES = 300  # browsers cannot open a page with thousands


def draw_cases(
    cases: Sequence[SourceCase], result: CheckResult, *, folder: Path, in_parallel: Callable[..., list]
) -> dict[str, Path]:
    """Draw each case whose image is readable, a volume through the centre of its label; return files by case.

    Labels are aligned by voxel index, whatever their header says. If a label cannot be drawn, its image is
    drawn alone.
    """
    single = {name: values[0] for name, values in result.labels.items() if len(values) == 1}
    parts = {value for values in result.labels.values() for value in values} - set(single.values())
    drawn = {**single, **{f"label {value}": value for value in sorted(parts)}}

    def draw(case: SourceCase) -> tuple[str, Path] | None:
        target = folder / f"{case.case_id}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        measure = result.measures[case.case_id]
        for label in (case.label, None) if measure.labels else (None,):
            try:
                channels = result.reader.channels(case.image, is_label=False)
                mask = None if label is None else result.reader.channels(label, is_label=True)[0]
                shared: dict[str, Any] = {"labels": drawn, "title": case.case_id}
                if channels[0].GetDimension() == 2:
                    write_slice_overlay(target, image=channels, label=mask, **shared)
                else:
                    write_overlay(
                        target,
                        image=channels[0],
                        truth=mask,
                        prediction=None,
                        is_ct=result.is_ct,
                        by_voxel=True,
                        **shared,
                    )
            except (PancextError, UnreadableImage, RuntimeError):
                continue  # the findings report what is wrong
            return case.case_id, target
        return None

    return dict(filter(None, in_parallel(draw, cases, title="drawing")))


def write_check_report(out: Path, result: CheckResult, *, pictures: Mapping[str, Path]) -> Path:
    """Write report.json and report.html, the worst case first, and return the latter."""
    dataset = result.dataset.resolve()
    cases = [_case_document(result.measures[case], findings) for case, findings in result.findings.items()]
    of_dataset = [asdict(finding) for finding in result.dataset_findings]
    document = {"dataset": shown_name(str(dataset)), "findings": of_dataset, "cases": cases}
    write_json(out / JSON_NAME, document)
    headings, rows = _measures(result)
    target = out / REPORT_NAME
    write_page(
        target,
        "dataset_check/report.html",
        title=f"Check of {shown_name(dataset.name)}",
        notes=(),
        of_dataset=result.dataset_findings,
        counts={
            **({"findings of the dataset": len(of_dataset)} if of_dataset else {}),
            "cases": len(result.measures),
            "with errors": result.count(ERROR),
            "with warnings": result.count(WARNING),
        },
        findings=result.findings,
        pictures=pictures,
        headings=headings,
        rows=rows,
    )
    return target


def _case_document(measure: CaseMeasure, findings: Sequence[Finding]) -> dict[str, Any]:
    return {
        "case": measure.case_id,
        "findings": [asdict(finding) for finding in findings],
        "size": measure.size,
        "spacing_mm": measure.spacing_mm,
        "lowest": measure.lowest,
        "highest": measure.highest,
        "orientation": None if measure.orientation is None else str(measure.orientation),
        "labels": {
            name: asdict(label) | {"mean": None if math.isnan(label.mean) else label.mean}
            for name, label in measure.labels.items()
        },
    }


def _measures(result: CheckResult) -> tuple[list[str], list[list[Cell]]]:
    """Tabulate findings, sizes, spacings, intensities and labels, the worst case first."""
    measured = [
        (name, label) for measure in result.measures.values() for name, label in measure.labels.items()
    ]
    names = list(dict.fromkeys(name for name, _ in measured))
    in_ml = any(label.volume_ml is not None for _, label in measured)
    rows = []
    for case, findings in result.findings.items():
        measure = result.measures[case]
        levels = [finding.level for finding in findings]
        size, spacing = measure.size or (), measure.spacing_mm or ()
        row = [
            Cell(text=case),
            *(Cell(text=str(levels.count(level)), value=levels.count(level)) for level in (ERROR, WARNING)),
            Cell(text=" x ".join(map(str, size)), value=math.prod(size) if size else math.nan),
            Cell(text=" x ".join(f"{step:.2f}" for step in spacing), value=max(spacing, default=math.nan)),
            _number_cell(measure.lowest, "g"),
            _number_cell(measure.highest, "g"),
        ]
        for name in names:
            label = measure.labels.get(name)
            amount = None if label is None else label.volume_ml if in_ml else label.voxels
            mean = None if label is None else label.mean
            row += [_number_cell(amount, ".1f" if in_ml else "d"), _number_cell(mean, ".0f")]
        rows.append(row)
    headings = ["case", "errors", "warnings", "size", "spacing, mm", "lowest", "highest"]
    for name in names:
        headings += [f"{name}, {'mL' if in_ml else 'pixels'}", f"{name}, mean"]
    return headings, rows


def _number_cell(number: float | None, form: str) -> Cell:
    """Return a cell that sorts by the number; an empty one, sorted last, for None and nan."""
    if number is None or math.isnan(number):
        return Cell(text="", value=math.nan)
    return Cell(text=format(number, form), value=number)
