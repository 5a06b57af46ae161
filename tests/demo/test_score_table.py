from nnunet_pancext.demo.page import format_table
from nnunet_pancext.evaluation.scores import CaseScores


def test_table_is_aligned(scores: list[CaseScores], labels: dict[str, int]) -> None:
    assert format_table(scores, labels).splitlines() == [
        "Dice    foreground  pancreas  tumour",
        "------------------------------------",
        "case_1       0.812     0.750   0.250",
        "case_2       0.938     0.938       –",  # noqa: RUF001
        "------------------------------------",
        "mean         0.875     0.844   0.250",
        "–: the label is in neither the prediction nor the ground truth, so its Dice is "  # noqa: RUF001
        "undefined and excluded from means.",
    ]


def test_the_dash_is_explained_only_where_it_occurs(scores: list[CaseScores], labels: dict[str, int]) -> None:
    assert "undefined" not in format_table(scores[:1], labels)
