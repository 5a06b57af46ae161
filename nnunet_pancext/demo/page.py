"""The demo's report: one self-contained HTML file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from nnunet_pancext.evaluation.scores import CaseScores, mean_dice
from nnunet_pancext.evaluation.targets import read_targets
from nnunet_pancext.evaluation.totals_table import case_caption, headlines
from nnunet_pancext.nnunet_commands.runner import CommandRecord
from nnunet_pancext.pages.page import write_page
from nnunet_pancext.pages.pictures import CaseFigure, Chart


def write_report(
    target: Path,
    *,
    title: str,
    facts: Sequence[tuple[str, str]],
    scores: Sequence[CaseScores],
    labels: Mapping[str, int | list[int]],
    overlays: Mapping[str, Path],
    commands: Sequence[CommandRecord],
    training: Mapping[str, Chart],
    notes: Sequence[str],
) -> None:
    """Write the report atomically, without parts that have no content.

    `facts` are pairs of name and value, `overlays` image files by case, `training` charts by title, `notes`
    warnings at the top of the page.

    Raises:
        PancextError: an image is missing or of an unknown type, or a case was not scored for a label.
    """
    scored = {case.case: case for case in scores}
    regions = list(read_targets(labels).regions)
    write_page(
        target,
        "demo/page.html",
        title=title,
        notes=notes,
        facts=facts,
        headlines=headlines(scores, labels),
        scores=scores,
        regions=regions,
        means=[mean_dice(scores, name) for name in regions] if scores else [],
        has_undefined=any(math.isnan(case.labels[name].dice) for case in scores for name in regions),
        figures=[
            CaseFigure(
                case=case,
                why=f"Dice: {case_caption(scored[case], labels)}" if case in scored else "not scored",
                picture=path,
            )
            for case, path in overlays.items()
        ],
        training=training,
        commands=commands,
        total_seconds=sum(record.seconds for record in commands),
    )
