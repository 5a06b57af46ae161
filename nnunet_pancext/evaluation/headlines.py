"""The mean Dice of each label, as the first numbers of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nnunet_pancext.evaluation.scores import CaseScores, count_defined, mean_dice
from nnunet_pancext.evaluation.targets import read_targets
from nnunet_pancext.pages.numbers import score_text


def headlines(scores: Sequence[CaseScores], labels: Mapping[str, int | list[int]]) -> list[dict[str, str]]:
    """Return name, number and number of cases of each label's mean Dice, that of the foreground first."""
    items = []
    for name in read_targets(labels).regions if scores else ():
        defined = count_defined(scores, name)
        of_all = "" if defined == len(scores) else f" of {len(scores)}"
        items.append(
            {
                "name": f"Mean Dice, {name}",
                "number": score_text(mean_dice(scores, name)),
                "detail": f"over {defined} case{'' if defined == 1 else 's'}{of_all}",
            }
        )
    return items


def case_caption(case: CaseScores, labels: Mapping[str, int | list[int]]) -> str:
    """Return the Dice of each label of a case in one line."""
    return ", ".join(f"{name} {score_text(case.labels[name].dice)}" for name in read_targets(labels).regions)
