"""A comparison as LaTeX: balanced tables, no mean marked best that leaves cases out."""

from __future__ import annotations

import re

import pytest
from made_comparison import DASH, Page, compared, comparison, false_lesions, latex, missed_lesions, page

from nnunet_pancext.reports.comparison_text import format_comparison
from nnunet_pancext.reports.latex import latex_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b & 5 % #1 ${x}", r"a\_b \& 5 \% \#1 \$\{x\}"),
        ("\\~^", r"\textbackslash{}\textasciitilde{}\textasciicircum{}"),
        ("p <0.001 ± \N{INFINITY} " + DASH, r"p $<$0.001 $\pm$ $\infty$ --"),
        ("--metrics a---b", "-{}-metrics a-{}-{}-b"),
        ("[2*]", "{[}2{*}]"),
    ],
)
def test_latex_is_escaped(text, expected):
    assert latex_text(text) == expected


def tables_of(content: str) -> list[str]:
    return re.findall(r"\\begin\{table\}.*?\\end\{table\}", content, re.DOTALL)


def body_of(table: str) -> list[str]:
    return table.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()


def number_of_columns(row: str) -> int:
    spans = [int(width) for width in re.findall(r"\\multicolumn\{(\d+)\}", row)]
    return len(re.findall(r"(?<!\\)&", row)) + 1 + sum(spans) - len(spans)


@pytest.mark.parametrize("made", [comparison, missed_lesions, false_lesions])
def test_latex_tables_are_balanced_and_complete(tmp_path, made):
    content = latex(tmp_path, made())
    tables = tables_of(content)
    assert len(tables) == 6  # means, tests, folds, sizes, worst cases, cost
    for table in tables:
        opened = re.findall(r"\\begin\{(\w+)\}", table)
        closed = re.findall(r"\\end\{(\w+)\}", table)
        assert sorted(opened) == sorted(closed)
        columns = re.search(r"\\begin\{tabular\}\{(.+)\}", table)[1].replace(r"p{0.55\linewidth}", "p")
        assert re.fullmatch("[lrp]+", columns)
        assert [table.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]
        head = table.split(r"\toprule")[1].split(r"\midrule")[0].strip().splitlines()
        for row in [*(line for line in head if not line.startswith(r"\cmidrule")), *body_of(table)]:
            assert row.endswith(r" \\")
            assert number_of_columns(row) == len(columns)
        assert table.count("{") - table.count(r"\{") == table.count("}") - table.count(r"\}")
        assert len(re.findall(r"(?<!\\)\$", table)) % 2 == 0
        assert table.isascii()
    assert r"\usepackage{booktabs}" in content


def test_latex_holds_what_the_page_does(tmp_path):
    means, tests, folds, sizes, worst, cost = tables_of(latex(tmp_path, comparison()))
    assert r"\cmidrule(lr){2-4} \cmidrule(lr){5-7}" in means
    assert "Look here first." in means
    # Dice: 12 gains, p = 2 / 2**12, times 2 tests
    [row] = [row for row in body_of(tests) if row.startswith(r"Better\_50epochs & 12 & 0.")]
    assert row.endswith(r" & 0.675 & +0.100 & +0.100 to +0.100 & $<$0.001 & +1.00 & 12/0/0 \\")
    # HD95: 11 gains and one infinite loss of the largest rank
    [row] = [row for row in body_of(tests) if row.startswith(r"Better\_50epochs & 12 & 3.00 to 3.00")]
    assert r" & 3.00 & -1.00 (+1 $\infty$) & -1.00 to -1.00 & " in row
    assert row.endswith(r" & +0.69 & 11/0/1 \\")
    # the first six of twelve steps from 0.3 to 0.85
    assert r"Dice & fold 0 & 6 & 0.425 $\pm$ 0.094 {[}0.425] & 0.525 $\pm$ 0.094 {[}0.525] \\" in folds
    assert "up to 20 mm (T1)" in sizes
    assert r"tumour & nnUNetTrainer & case\_00 (0.300), case\_01 (0.350), " in worst
    assert "-- in parameters, GMAC, time, peak: not here (Better" in cost


def test_latex_marks_the_best_mean_by_the_metrics_direction(tmp_path):
    nearer = {"dice": [0.5, 0.6, 0.7], "hd95_mm": [3.0, 4.0, 5.0]}
    farther = {"dice": [0.6, 0.7, 0.8], "hd95_mm": [4.0, 5.0, 6.0]}
    means = tables_of(latex(tmp_path, compared({"A": nearer, "B": farther})))[0]
    assert body_of(means) == [
        r"A & 0.600 $\pm$ 0.100 &  &  & \textbf{4.00 $\pm$ 1.00} &  &  \\",
        r"B & \textbf{0.700 $\pm$ 0.100} & 0.500 & +1.00 & 5.00 $\pm$ 1.00 & 0.500 & -1.00 \\",
    ]


def test_no_mean_is_best_that_leaves_infinite_distances_out(tmp_path):
    """The mean of the lesions that B finds is smaller, though B is significantly worse."""
    one = missed_lesions()
    means, tests, *_ = tables_of(latex(tmp_path, one))
    assert r"\textbf" not in means
    # 6 gains of rank 1 to 6 (all of 3) and 14 infinite losses: r = (21 - 189) / 210
    [_, row] = body_of(means)
    assert re.fullmatch(
        r"B & \d\.\d\d \$\\pm\$ \d\.\d\d \(\+14 \$\\infty\$\) & \$<\$0\.001 & -0\.80 \\\\", row
    )
    assert r"-3.00 (+14 $\infty$)" in tests
    assert ">B (+14 \N{INFINITY})</text>" in page(tmp_path, one)  # beside the drawn difference
    found = Page(page(tmp_path, one)).text
    assert re.search(r"-3\.00 \(\+14 \N{INFINITY}\), p <0\.001, r -0\.80", found)
    assert "-3.00 (+14 \N{INFINITY})" in format_comparison(one)
    assert "Distances are infinite" in means


def test_cases_that_only_one_trainer_has_are_told_wherever_they_count(tmp_path):
    one = false_lesions()
    means, tests, folds, *_ = tables_of(latex(tmp_path, one))
    assert r"\textbf" not in means
    assert "in 8 of 15 cases only B has a value" in means
    assert "B & 15 (7 paired) & " in tests
    assert "fold 1 & 0 / 7 & " in folds
    text = format_comparison(one)
    assert "15 (7 paired)" in text
    assert "only B has a value" in text
    found = Page(page(tmp_path, one)).text
    assert "n 15 (7 paired)" in found  # headline
    assert found.count("15 (7 paired)") == 2
    assert "0 / 7" in found
