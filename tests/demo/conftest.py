"""Scores of two cases."""

import math

import pytest

from nnunet_pancext.evaluation.scores import CaseScores, LabelScores

LABELS = {"background": 0, "pancreas": 1, "tumour": 2}


@pytest.fixture
def labels() -> dict[str, int]:
    return dict(LABELS)


@pytest.fixture
def scores() -> list[CaseScores]:
    """Two cases; the second has no tumour, so that its Dice is undefined."""

    def label(dice: float, volume_ml: float, truth_volume_ml: float) -> LabelScores:
        return LabelScores(dice=dice, volume_ml=volume_ml, truth_volume_ml=truth_volume_ml)

    return [
        CaseScores(
            case="case_1",
            labels={
                "foreground": label(0.8125, 71.52, 82.47),
                "pancreas": label(0.7504, 70.0, 80.0),
                "tumour": label(0.25, 0.0421, 2.47),
            },
        ),
        CaseScores(
            case="case_2",
            labels={
                "foreground": label(0.9375, 60.0, 61.0),
                "pancreas": label(0.9375, 60.0, 61.0),
                "tumour": label(math.nan, 0.0, 0.0),
            },
        ),
    ]
