"""Scores as a table of plain text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nnunet_pancext.evaluation.scores import CaseScores, mean_dice
from nnunet_pancext.evaluation.targets import read_targets
from nnunet_pancext.pages.numbers import UNDEFINED, UNDEFINED_MEANING, score_text
from nnunet_pancext.pages.text_table import text_table


def format_table(scores: Sequence[CaseScores], labels: dict[str, int]) -> str:
    """Dice of each case (row) and label (column) and their mean over the cases, aligned.

    Raises:
        PancextError: a case was not scored for one of `labels`.
    """
    names = list(read_targets(labels).regions)
    means = [mean_dice(scores, name) for name in names]
    rows = [
        ["Dice", *names],
        *([case.case, *(score_text(case.labels[name].dice) for name in names)] for case in scores),
        ["mean", *map(score_text, means)],
    ]
    lines = [text_table(rows, ruled_below=(0, -2))]
    if any(math.isnan(case.labels[name].dice) for case in scores for name in names):
        lines.append(f"{UNDEFINED}: {UNDEFINED_MEANING}")
    return "\n".join(lines)
