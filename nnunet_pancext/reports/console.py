"""Scores as a table of plain text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nnunet_pancext.evaluation.folder import scored_labels
from nnunet_pancext.evaluation.scores import CaseScores, mean_dice
from nnunet_pancext.reports.numbers import UNDEFINED, UNDEFINED_MEANING, score_text


def format_table(scores: Sequence[CaseScores], labels: dict[str, int]) -> str:
    """Dice of each case (row) and label (column) and their mean over the cases, aligned.

    Raises:
        PancextError: a case was not scored for one of `labels`.
    """
    names = list(scored_labels(labels))
    means = [mean_dice(scores, name) for name in names]
    rows = [
        ["Dice", *names],
        *([case.case, *(score_text(case.labels[name].dice) for name in names)] for case in scores),
        ["mean", *map(score_text, means)],
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    rule = "-" * len(lines[0])
    lines = [lines[0], rule, *lines[1:-1], rule, lines[-1]]
    if any(math.isnan(case.labels[name].dice) for case in scores for name in names):
        lines.append(f"{UNDEFINED}: {UNDEFINED_MEANING}")
    return "\n".join(lines)
