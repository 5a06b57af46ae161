"""The cases that say most about a model: its worst, median and best."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nnunet_pancext.evaluation.scores import METRICS, CaseScores


def choose_cases(scores: Sequence[CaseScores], label: str, metric: str = "dice") -> dict[str, str]:
    """Return the worst, median and best case by a metric of a label, or fewer if there are fewer cases.

    Cases in which the metric is undefined are left out. A metric without a better direction counts as better
    when higher.
    """
    sign = -1 if METRICS[metric].higher_is_better is False else 1
    values = {case.case: sign * getattr(case.labels[label], metric) for case in scores}
    ranked = sorted((value, case) for case, value in values.items() if not math.isnan(value))
    if not ranked:
        return {}
    places = {"worst": 0, "median": (len(ranked) - 1) // 2, "best": len(ranked) - 1}
    chosen: dict[str, str] = {}
    for word, place in places.items():
        chosen.setdefault(ranked[place][1], word)
    return {word: case for case, word in chosen.items()}
