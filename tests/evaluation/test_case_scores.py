import csv
import math
from pathlib import Path

import pytest

from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.scores import (
    CaseScores,
    LabelScores,
    count_defined,
    mean_dice,
    write_metrics_csv,
)


def case(name: str, dice: float, volume_ml: float = 1.0) -> CaseScores:
    scores = LabelScores(dice=dice, volume_ml=volume_ml, truth_volume_ml=2.5)
    return CaseScores(case=name, labels={"pancreas": scores})


def test_mean_leaves_out_undefined_cases() -> None:
    scores = [case("a", 0.5), case("b", math.nan), case("c", 0.9)]
    assert mean_dice(scores, "pancreas") == pytest.approx(0.7)
    assert count_defined(scores, "pancreas") == 2


def test_mean_over_no_defined_case_is_undefined() -> None:
    assert math.isnan(mean_dice([case("a", math.nan)], "pancreas"))
    assert math.isnan(mean_dice([], "pancreas"))


def test_mean_names_the_case_without_the_label() -> None:
    with pytest.raises(
        PancextError, match=r"Case 'a' has no score for label 'spleen', only for \['pancreas'\]"
    ):
        mean_dice([case("a", 0.5)], "spleen")


def test_csv_has_a_row_per_case_and_label(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    write_metrics_csv([case("a, left", 1 / 3, volume_ml=12.25), case("b", math.nan, volume_ml=0)], path)
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0])[:5] == ["case", "label", "dice", "iou", "precision"]
    kept = ("case", "label", "dice", "volume_ml", "truth_volume_ml", "hd95_mm")
    assert [[row[name] for name in kept] for row in rows] == [
        ["a, left", "pancreas", "0.3333333333", "12.25", "2.5", "nan"],
        ["b", "pancreas", "nan", "0", "2.5", "nan"],
    ]
    assert list(tmp_path.iterdir()) == [path]
