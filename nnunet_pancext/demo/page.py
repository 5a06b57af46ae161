"""The demo's results: one self-contained HTML file, and a table of plain text."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nnunet_pancext.evaluation.headlines import case_caption, headlines
from nnunet_pancext.evaluation.scores import CaseScores, mean_dice
from nnunet_pancext.evaluation.targets import read_targets
from nnunet_pancext.nnunet_commands.runner import CommandRecord
from nnunet_pancext.pages.numbers import UNDEFINED, UNDEFINED_MEANING, score_text
from nnunet_pancext.pages.page import write_page
from nnunet_pancext.pages.pictures import CaseFigure
from nnunet_pancext.pages.text_table import text_table


def write_report(
    target: Path,
    *,
    scores: Sequence[CaseScores],
    labels: Mapping[str, int | list[int]],
    overlays: Mapping[str, Path],
    commands: Sequence[CommandRecord],
    **content: Any,
) -> None:
    """Write the report atomically, without parts that have no content.

    `overlays` are image files by case. The further `content` is the page's `title`, `facts` (pairs of name
    and value), `training` (charts by title) and `notes` (warnings at the top of the page).
    """
    scored = {case.case: case for case in scores}
    regions = list(read_targets(labels).regions)
    write_page(
        target,
        "demo/page.html",
        headlines=headlines(scores, labels),
        scores=scores,
        regions=regions,
        means=[mean_dice(scores, name) for name in regions] if scores else [],
        has_undefined=_has_undefined(scores, regions),
        figures=[
            CaseFigure(
                case=case,
                why=f"Dice: {case_caption(scored[case], labels)}" if case in scored else "not scored",
                picture=path,
            )
            for case, path in overlays.items()
        ],
        commands=commands,
        total_seconds=sum(record.seconds for record in commands),
        **content,
    )


def format_table(scores: Sequence[CaseScores], labels: dict[str, int]) -> str:
    """Return the Dice of each case (row) and label (column) and their mean over the cases, aligned."""
    names = list(read_targets(labels).regions)
    rows = [
        ["Dice", *names],
        *([case.case, *(score_text(case.labels[name].dice) for name in names)] for case in scores),
        ["mean", *(score_text(mean_dice(scores, name)) for name in names)],
    ]
    table = text_table(rows, ruled_below=(0, -2))
    return f"{table}\n{UNDEFINED}: {UNDEFINED_MEANING}" if _has_undefined(scores, names) else table


def _has_undefined(scores: Sequence[CaseScores], names: Sequence[str]) -> bool:
    return any(math.isnan(case.labels[name].dice) for case in scores for name in names)
