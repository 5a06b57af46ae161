"""How much a way of prediction differs from nnU-Net's own: Dice against the reference, and agreement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnunet_pancext.evaluation.overlap import count_overlap
from nnunet_pancext.evaluation.targets import Targets

LabelMap = NDArray[np.integer]


def dice_by_label(prediction: LabelMap, reference: LabelMap, *, targets: Targets) -> dict[str, float]:
    """Return the Dice of each label or region; that of two empty masks is 1, for they agree.

    Voxels that `reference` marks as ignored do not count.
    """
    counted = np.ones(reference.shape, bool) if targets.ignore is None else reference != targets.ignore
    dice = {}
    for name, values in targets.regions.items():
        masks = [np.isin(label_map, values) & counted for label_map in (prediction, reference)]
        value = count_overlap(*masks).dice
        dice[name] = 1.0 if np.isnan(value) else value
    return dice


@dataclass
class Differences:
    """A way's Dice and seconds case by case, beside those of nnU-Net's own way, `exact`."""

    dice: list[dict[str, float]] = field(default_factory=list)
    agreement: list[dict[str, float]] = field(default_factory=list)  # Dice between this way and `exact`
    seconds: list[float] = field(default_factory=list)

    def add(
        self, prediction: LabelMap, *, exact: LabelMap, reference: LabelMap, targets: Targets, seconds: float
    ) -> None:
        """Add a case."""
        self.dice.append(dice_by_label(prediction, reference, targets=targets))
        self.agreement.append(dice_by_label(prediction, exact, targets=targets))
        self.seconds.append(seconds)

    def summary(self, exact: Sequence[Mapping[str, float]]) -> dict[str, Any]:
        """Return the figures for self_test.json; `exact` is the Dice of `exact` case by case.

        `dice_change` is this way's Dice minus that of `exact`; `largest_loss` is 0 where no case lost.
        """
        labels = {}
        for name in exact[0]:
            changes = [ours[name] - stock[name] for ours, stock in zip(self.dice, exact, strict=True)]
            agreement = [case[name] for case in self.agreement]
            labels[name] = {
                "dice": fmean(case[name] for case in self.dice),
                "dice_change": {
                    "mean": fmean(changes),
                    "sd": stdev(changes) if len(changes) > 1 else None,
                    "largest_loss": max(0.0, *(-change for change in changes)),
                },
                "agreement": {"mean": fmean(agreement), "smallest": min(agreement)},
            }
        return {"seconds_per_case": fmean(self.seconds), "labels": labels}
