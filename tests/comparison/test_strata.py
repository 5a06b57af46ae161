"""Groups of cases by true size."""

import math

import numpy as np
import pytest

from nnunet_pancext.comparison.scored_cases import ScoredCases
from nnunet_pancext.comparison.strata import (
    default_stratifications,
    diameter_mm,
    parse_stratification,
    stratum_rows,
)
from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.scores import CaseScores, LabelScores


def sphere_ml(diameter: float) -> float:
    return 4 / 3 * math.pi * (diameter / 2) ** 3 / 1000


def scored(volumes_ml: dict[str, list[float]], dice: list[float]) -> ScoredCases:
    names = tuple(f"case_{index}" for index in range(len(dice)))
    scores = [
        CaseScores(
            case=case,
            labels={
                label: LabelScores(dice=dice[index], truth_volume_ml=volumes[index])
                for label, volumes in volumes_ml.items()
            },
        )
        for index, case in enumerate(names)
    ]
    return ScoredCases(cases=names, folds=(0,) * len(names), patients=names, scores={"A": scores})


def test_the_diameter_is_that_of_the_sphere():
    np.testing.assert_allclose(diameter_mm(np.array([0, sphere_ml(20), sphere_ml(41)])), [0, 20, 41])
    assert sphere_ml(20) == pytest.approx(4.18879)


def test_lesions_are_cut_at_the_stages_of_tnm():
    diameters = [0.0, 12.0, 19.9, 20.1, 39.9, 40.1, 70.0]
    study = scored(
        {"tumour": [sphere_ml(diameter) for diameter in diameters]}, [0.0, 0.1, 0.3, 0.4, 0.6, 0.7, 0.9]
    )
    cuts = default_stratifications(study, dataset_json={"labels": {"background": 0, "tumour": 1}})
    rows = stratum_rows(study, cuts, ["dice"])
    assert [(row.stratum, row.spread.n) for row in rows] == [
        ("up to 20 mm (T1)", 2),
        ("over 20 to 40 mm (T2)", 2),
        ("over 40 mm (T3)", 2),
    ]
    assert [row.spread.mean for row in rows] == pytest.approx([0.2, 0.5, 0.8])


def test_organs_are_cut_into_terciles_and_the_union_is_not_cut():
    volumes = [60.0, 70, 80, 90, 100, 110, 0]
    study = scored({"foreground": volumes, "pancreas": volumes}, [0.1, 0.1, 0.2, 0.2, 0.3, 0.3, 0.9])
    cuts = default_stratifications(study, dataset_json={"labels": {"background": 0, "pancreas": 1}})
    rows = stratum_rows(study, cuts, ["dice"])
    assert {row.label for row in rows} == {"pancreas"}
    assert [row.spread.n for row in rows] == [2, 2, 2]  # a case without the organ is in none
    assert [row.spread.mean for row in rows] == pytest.approx([0.1, 0.2, 0.3])


def test_dataset_json_may_say_which_label_is_the_lesion():
    study = scored({"pancreas": [60.0, 70, 80], "label_2": [1.0, 2, 3]}, [0.1] * 3)
    declared = {
        "labels": {"background": 0, "pancreas": 1, "label_2": 2},
        "pancext": {"organ": 1, "lesion": 2},
    }
    assert [(cut.label, cut.unit) for cut in default_stratifications(study, dataset_json=declared)] == [
        ("pancreas", "mL"),
        ("label_2", "mm"),
    ]


def test_sizes_that_do_not_differ_are_not_cut():
    study = scored({"pancreas": [70.0] * 5}, [0.1] * 5)
    assert default_stratifications(study, dataset_json={"labels": {"pancreas": 1}}) == []


def test_the_user_may_cut_elsewhere():
    cut = parse_stratification("tumour=10,20.5mm", ["tumour"])
    assert (cut.label, cut.edges, cut.unit) == ("tumour", (10.0, 20.5), "mm")
    cut = parse_stratification("pancreas=60,90ML", ["pancreas"])
    groups = cut.groups(np.array([60.0, 60.1, 91]))
    assert [(title, chosen.tolist()) for title, chosen in groups] == [
        ("up to 60 mL", [True, False, False]),
        ("over 60 to 90 mL", [False, True, False]),
        ("over 90 mL", [False, False, True]),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tumour", r"'tumour' is not LABEL=EDGES with a unit"),
        ("tumour=10,20", "is not LABEL=EDGES with a unit"),
        ("tumour=1.2.3mm", "is not LABEL=EDGES with a unit"),
        ("spleen=10mm", "names no label; there are: tumour"),
        ("tumour=20,10mm", "the edges must rise from above 0"),
        ("tumour=0,10mm", "the edges must rise from above 0"),
    ],
)
def test_refuses_other_cuts(text, message):
    with pytest.raises(PancextError, match=message):
        parse_stratification(text, ["tumour"])
