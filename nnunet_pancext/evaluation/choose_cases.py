"""The cases that say most about a model: its worst, median and best."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nnunet_pancext.evaluation.scores import METRICS, CaseScores


def choose_cases(scores: Sequence[CaseScores], label: str, metric: str = "dice") -> dict[str, str]:
    """Return the worst, median and best case by a metric of a label; fewer where there are no three.

    Cases in which it is undefined are left out. One without a better direction is taken as better when it is
    higher.
    """
    sign = -1 if METRICS[metric].higher_is_better is False else 1
    values = {one.case: sign * getattr(one.labels[label], metric) for one in scores}
    ranked = sorted((value, case) for case, value in values.items() if not math.isnan(value))
    if not ranked:
        return {}
    places = {"worst": 0, "median": (len(ranked) - 1) // 2, "best": len(ranked) - 1}
    chosen: dict[str, str] = {}
    for word, place in places.items():
        chosen.setdefault(ranked[place][1], word)
    return {word: case for case, word in chosen.items()}
