"""The tables that `pancext evaluate` prints."""

import math

import pytest

from nnunet_pancext.evaluation.folder import Evaluation
from nnunet_pancext.evaluation.scores import CaseScores, LabelScores
from nnunet_pancext.evaluation.targets import read_targets
from nnunet_pancext.evaluation.totals_table import format_totals


def line(title: str, **columns: list[float]) -> str:
    """One line of the table of cases that have these values of some metrics, and 0 of the counts."""
    counts = dict.fromkeys(("lesions", "lesions_found", "false_positives", "slices"), 0)
    number = len(next(iter(columns.values())))
    scores = [
        CaseScores(
            case=f"case_{index}",
            labels={
                "tumour": LabelScores(**counts, **{name: values[index] for name, values in columns.items()})
            },
        )
        for index in range(number)
    ]
    text = format_totals(Evaluation(targets=read_targets({"tumour": 1}), scores=scores, failures={}))
    [found] = [line for line in text.splitlines() if line.startswith(title)]
    return found.removeprefix(title).strip()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.25, 0.27], "0.260 ± 0.014"),  # ± 0.0 would say that there is no spread
        ([2.5, 2.7], "2.6 ± 0.1"),
        ([0.25, math.inf], "0.250 (+1)"),
        ([math.nan, math.inf], "\N{EN DASH} (+1)"),
    ],
)
def test_a_standard_deviation_has_the_decimals_of_its_mean(values, expected):
    assert line("ASSD, mm", assd_mm=values, truth_volume_ml=[1, 1]) == expected


def test_a_mean_error_below_0_keeps_its_sign():
    assert line("volume error, mL", volume_error_ml=[-0.2, -0.3], truth_volume_ml=[1, 1]) == "-0.250 ± 0.071"


def test_a_single_case_is_no_plural():
    assert line("per volume, 1 case", dice=[0.5]) == "tumour"
    assert line("per volume, 2 cases", dice=[0.5, 0.5]) == "tumour"
