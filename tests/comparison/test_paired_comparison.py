"""Rows of a comparison: what is described, what is tested, and what the reader is warned of."""

import math

import numpy as np
import pytest

from nnunet_pancext.comparison.paired import compare_rows, fold_rows
from nnunet_pancext.comparison.remarks import statistics_remarks
from nnunet_pancext.comparison.scored_cases import ScoredCases
from nnunet_pancext.evaluation.scores import CaseScores, LabelScores

NAN, INF = math.nan, math.inf


def scored(patients=None, folds=None, **models) -> ScoredCases:
    """Models by name, each with the values of its metrics, case by case, for the label 'tumour'."""
    number = len(next(iter(next(iter(models.values())).values())))
    names = tuple(f"case_{index}" for index in range(number))
    scores = {
        model: [
            CaseScores(
                case=case,
                labels={"tumour": LabelScores(**{name: column[index] for name, column in metrics.items()})},
            )
            for index, case in enumerate(names)
        ]
        for model, metrics in models.items()
    }
    return ScoredCases(
        cases=names, folds=tuple(folds or [0] * number), patients=tuple(patients or names), scores=scores
    )


def rows_of(study: ScoredCases, family=("dice", "hd95_mm"), reference="A"):
    return {
        (row.model, row.metric): row
        for row in compare_rows(study, reference=reference, family=family, seed=0, resamples=500)
    }


FALSE_LESIONS = {
    "A": {"dice": [0.6] * 7 + [NAN] * 8, "hd95_mm": [5.0] * 7 + [NAN] * 8},
    "B": {"dice": [0.65] * 7 + [0.0] * 8, "hd95_mm": [4.0] * 7 + [INF] * 8},
}
DICE = [0.5, 0.6, 0.7, 0.8, 0.9, 0.4]


def test_a_model_and_its_copy_never_differ_significantly():
    row = rows_of(scored(A={"dice": DICE}, B={"dice": DICE}))["B", "dice"]
    difference = row.difference
    assert (
        difference.p,
        difference.p_holm,
        difference.rank_biserial,
        difference.mean,
        difference.interval,
    ) == (1.0, 1.0, 0.0, 0.0, (0.0, 0.0))
    assert (difference.wins, difference.ties, difference.losses) == (0, 6, 0)
    assert not difference.is_significant


def test_a_higher_dice_and_a_lower_distance_are_better():
    better, worse = [dice + 0.05 for dice in DICE], [dice - 0.05 for dice in DICE]
    rows = rows_of(
        scored(
            A={"dice": DICE, "hd95_mm": [5.0] * 6},
            B={"dice": better, "hd95_mm": [3.0] * 6},
            C={"dice": worse, "hd95_mm": [9.0] * 6},
        )
    )
    for metric, change in (("dice", 0.05), ("hd95_mm", -2.0)):
        difference = rows["B", metric].difference
        assert difference.mean == pytest.approx(change)
        assert (difference.rank_biserial, difference.wins, difference.losses) == (1.0, 6, 0)
    assert rows["C", "hd95_mm"].difference.mean == pytest.approx(4.0)
    assert rows["C", "hd95_mm"].difference.rank_biserial == -1.0
    assert rows["C", "dice"].difference.losses == 6


def test_holms_family_is_trainers_times_labels_times_the_metrics_named():
    shifted = [dice + step for dice, step in zip(DICE, [0.1, 0.2, 0.3, -0.05, 0.15, 0.25], strict=True)]
    models = {
        "A": {"dice": DICE, "hd95_mm": [5.0] * 6, "iou": DICE},
        "B": {"dice": [dice + 0.05 for dice in DICE], "hd95_mm": [5.0] * 6, "iou": shifted},
        "C": {"dice": shifted, "hd95_mm": [4.0] * 6, "iou": shifted},
    }
    rows = rows_of(scored(**models))
    assert rows["B", "dice"].difference.p == pytest.approx(1 / 32)
    assert rows["C", "dice"].difference.p == pytest.approx(2 * 2 / 64)  # only the smallest rank is negative
    # p of the family, rising: 1/32, 1/32, 1/16, 1: times 4, 3, 2, 1
    assert rows["B", "dice"].difference.p_holm == pytest.approx(4 / 32)
    assert rows["C", "hd95_mm"].difference.p_holm == pytest.approx(4 / 32)
    assert rows["C", "dice"].difference.p_holm == pytest.approx(2 / 16)
    assert rows["B", "hd95_mm"].difference.p_holm == 1.0
    assert math.isnan(rows["B", "iou"].difference.p_holm)
    assert not rows["B", "iou"].difference.is_significant


def test_undefined_pairs_are_left_out_and_infinite_ones_lose():
    rows = rows_of(
        scored(
            A={"hd95_mm": [1.0, 2.0, NAN, 4.0, INF, INF]},
            B={"hd95_mm": [2.0, NAN, 3.0, INF, 5.0, INF]},
        )
    )
    difference = rows["B", "hd95_mm"].difference
    assert (difference.pairs, difference.only_model, difference.only_reference, difference.infinite) == (
        4,
        1,
        1,
        3,
    )
    assert (difference.wins, difference.ties, difference.losses) == (1, 1, 2)
    assert difference.mean == 1.0  # the one finite difference
    # -1 has rank 1; -inf and +inf share the ranks 2 and 3
    assert difference.rank_biserial == pytest.approx((2.5 - 3.5) / 6)
    assert rows["B", "hd95_mm"].spread.infinite == 2
    assert rows["B", "hd95_mm"].spread.mean == pytest.approx(10 / 3)
    assert rows["B", "hd95_mm"].spread.median == 5.0


def test_a_false_lesion_in_a_healthy_case_is_in_no_pair():
    """Seven cases with a lesion and eight without, in each of which B finds one all the same."""
    rows = rows_of(scored(**FALSE_LESIONS))
    difference = rows["B", "dice"].difference
    assert (difference.pairs, difference.only_model, difference.only_reference, difference.infinite) == (
        7,
        8,
        0,
        0,
    )
    assert (difference.wins, difference.losses) == (7, 0)
    assert rows["B", "dice"].spread.mean == pytest.approx(7 * 0.65 / 15)
    distance = rows["B", "hd95_mm"].difference
    assert (distance.pairs, distance.only_model, distance.infinite) == (7, 8, 0)


def test_metrics_without_a_better_direction_are_described_but_not_tested():
    row = rows_of(scored(A={"dice": DICE, "volume_ml": DICE}, B={"dice": DICE, "volume_ml": DICE}))
    assert row["B", "volume_ml"].difference is None
    assert row["B", "volume_ml"].spread.n == 6


def test_a_patient_counts_once_in_the_test():
    """Twelve cases of six patients: the mean of each patient is tested."""
    patients = [name for name in "uvwxyz" for _ in range(2)]
    steps = [0.3, -0.1] * 6  # each patient gains 0.1 on the mean
    reference = [0.5] * 12
    better = [dice + step for dice, step in zip(reference, steps, strict=True)]
    models = {"A": {"dice": reference}, "B": {"dice": better}}
    difference = rows_of(scored(patients=patients, **models))["B", "dice"].difference
    assert (difference.pairs, difference.patients) == (12, 6)
    assert difference.p == pytest.approx(1 / 32)
    assert (difference.wins, difference.losses) == (6, 6)
    assert difference.interval == pytest.approx((0.1, 0.1))


def test_equal_means_of_a_patient_are_no_difference():
    """0.1 + 0.2 and 0.15 + 0.15 are equal, though not to the last bit."""
    patients = [name for name in "uvwxyz" for _ in range(2)]
    study = rows_of(scored(patients=patients, A={"dice": [0.15, 0.15] * 6}, B={"dice": [0.1, 0.2] * 6}))
    assert 0.1 + 0.2 != 0.15 + 0.15
    found = study["B", "dice"].difference
    assert (found.p, found.rank_biserial) == (1.0, 0.0)


def test_folds_are_described_by_themselves():
    study = scored(folds=[0, 0, 0, 1, 1, 1], A={"dice": DICE}, B={"dice": DICE})
    found = {(row.model, row.fold): row.spread for row in fold_rows(study, [0, 1])}
    assert found["A", 0].mean == pytest.approx(0.6)
    assert found["A", 1].median == pytest.approx(0.8)
    assert found["B", 1].n == 3


def test_the_worst_cases_come_first():
    study = scored(A={"dice": [0.5, NAN, 0.1, 0.9], "hd95_mm": [1.0, NAN, INF, 4.0]})
    by_dice = study.worst_cases("A", "tumour", "dice")
    assert by_dice == [("case_2", 0.1), ("case_0", 0.5), ("case_3", 0.9)]
    by_distance = study.worst_cases("A", "tumour", "hd95_mm")
    assert [case for case, _ in by_distance] == ["case_2", "case_3", "case_0"]


def remarks_of(number, *, models=("A", "B"), num_folds=1, patients=None, **more):
    values = np.linspace(0.4, 0.9, number)
    study = scored(patients=patients, **{name: {"dice": values, **more} for name in models})
    rows = compare_rows(study, reference="A", family=["dice"], seed=0, resamples=50)
    return statistics_remarks(study, rows, reference="A", family=["dice"], folds=[0], num_folds=num_folds)


def test_five_patients_cannot_be_significant():
    [remark] = remarks_of(5)
    assert "With 5 patients the smallest p that Wilcoxon's test can give is 0.0625" in remark
    assert "At least 6 are needed" in remark


def test_six_patients_can_in_one_test_but_not_in_two():
    assert remarks_of(6) == []
    [remark] = remarks_of(6, models=("A", "B", "C"))
    assert "With 6 patients and 2 tests the smallest p after Holm's correction is 0.062: 7 patients" in remark


def test_missing_folds_shared_patients_and_infinite_distances_are_reported():
    assert "1 of 5 folds compared (0)" in remarks_of(20, num_folds=5)[0]
    shared = remarks_of(20, patients=[f"p{index // 2}" for index in range(20)])
    assert "20 cases are of 10 patients" in shared[0]
    infinite = remarks_of(20, hd95_mm=[INF] * 2 + [1.0] * 18)
    assert infinite[0].endswith("There are some in tumour (HD95, mm).")


def test_pairs_that_are_left_out_are_reported():
    study = scored(**FALSE_LESIONS)
    rows = list(rows_of(study).values())
    [unpaired, infinite] = statistics_remarks(
        study, rows, reference="A", family=["dice", "hd95_mm"], folds=[0], num_folds=1
    )
    assert "in 8 of 15 cases only B has a value (tumour: Dice and HD95, mm)" in unpaired
    assert "A false lesion in a case without lesions" in unpaired
    assert "--metrics false_positives" in unpaired
    assert "There are some in tumour (HD95, mm)" in infinite


def test_both_trainers_may_have_values_of_their_own():
    values = {"A": {"dice": [NAN, 0.5, *DICE]}, "B": {"dice": [0.5, NAN, *DICE]}}
    study = scored(**values)
    [remark] = statistics_remarks(
        study, list(rows_of(study, family=["dice"]).values()), reference="A", family=["dice"], folds=[0],
        num_folds=1,
    )  # fmt: skip
    assert "in 1 of 8 cases only B and in 1 of 8 cases only A has a value (tumour: Dice)" in remark


def test_patients_are_counted_in_each_test():
    """Twelve cases, of which four have the label; only their Dice can be tested."""
    values = {"dice": [0.5] * 4 + [NAN] * 8, "accuracy": [0.9] * 12}
    study = scored(A=values, B=values)
    rows = list(rows_of(study, family=["dice", "accuracy"]).values())
    [remark] = statistics_remarks(
        study, rows, reference="A", family=["dice", "accuracy"], folds=[0], num_folds=1
    )
    assert "With 4 patients in tumour (Dice) the smallest p that Wilcoxon's test can give is 0.125" in remark


def test_no_patient_at_all_is_reported():
    study = scored(A={"dice": [0.5, NAN]}, B={"dice": [NAN, 0.5]})
    rows = list(rows_of(study, family=["dice"]).values())
    remarks = statistics_remarks(study, rows, reference="A", family=["dice"], folds=[0], num_folds=1)
    assert remarks[0] == "No patient can be compared: in no case do both trainers have a value."
