"""A comparison as LaTeX: balanced tables, no mean marked best that leaves cases out."""

import re
import shutil
import subprocess

import numpy as np
import pytest
from made_comparison import (
    DASH,
    INF,
    Page,
    charts_of,
    compared,
    comparison,
    false_lesions,
    latex,
    missed_lesions,
    page,
)

from nnunet_pancext.comparison.compare import Comparison
from nnunet_pancext.comparison.output.console import format_comparison
from nnunet_pancext.comparison.output.latex import CASES_COLUMN
from nnunet_pancext.comparison.output.latex_table import latex_text


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
    assert len(tables) == 7  # means, intervals, differences, folds, sizes, worst cases, cost
    for table in tables:
        opened = re.findall(r"\\begin\{(\w+)\}", table)
        closed = re.findall(r"\\end\{(\w+)\}", table)
        assert sorted(opened) == sorted(closed)
        columns = re.search(r"\\begin\{tabular\}\{(.+)\}", table)[1].replace(CASES_COLUMN, "p")
        assert re.fullmatch("[lrp]+", columns)
        assert [table.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]
        head = table.split(r"\toprule")[1].split(r"\midrule")[0].strip().splitlines()
        for row in [*head, *body_of(table)]:
            assert row.endswith(r" \\")
            assert number_of_columns(row) == len(columns)
        assert table.count("{") - table.count(r"\{") == table.count("}") - table.count(r"\}")
        assert len(re.findall(r"(?<!\\)\$", table)) % 2 == 0
        assert table.isascii()
    assert r"\usepackage{booktabs,array,adjustbox}" in content


LONG = [f"nnUNetTrainer{part}_BlockLoss_400epochs" for part in ("Baseline", "AttentionGates", "NonLocal_x")]


def long_names() -> Comparison:
    """Three trainers with long names, two of them significantly better than the first."""
    dice = np.linspace(0.3, 0.85, 12)
    return compared(
        {
            name: {"dice": dice + 0.01 * index, "iou": dice, "hd95_mm": [*(20 * dice[:-1] - index), INF]}
            for index, name in enumerate(LONG)
        }
    )


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here")
@pytest.mark.parametrize("made", [comparison, missed_lesions, false_lesions, long_names])
def test_latex_compiles_within_the_page(tmp_path, made):
    latex(tmp_path, made())
    preamble = r"\documentclass{article}\usepackage{booktabs,array,adjustbox}"
    document = preamble + r"\begin{document}\input{table}\end{document}"
    (tmp_path / "document.tex").write_text(document, encoding="utf-8")
    words = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "document.tex"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    if "adjustbox.sty' not found" in done.stdout:
        pytest.skip("this LaTeX has no adjustbox")
    assert done.returncode == 0, done.stdout
    assert "Overfull" not in done.stdout
    assert "too large" not in done.stdout


def test_latex_leaves_out_of_names_what_all_end_with(tmp_path):
    for table in tables_of(latex(tmp_path, long_names())):
        assert "All trainers have the suffix \\_BlockLoss\\_400epochs, which" in table
        names = [row.split(" & ")[0] for row in body_of(table) if not row.startswith(r"\multicolumn")]
        assert set(names) <= {
            "nnUNetTrainerBaseline",
            "nnUNetTrainerAttentionGates",
            r"nnUNetTrainerNonLocal\_x",
        }
    assert "suffix" not in latex(tmp_path, comparison())
    alike = compared({"A_5epochs": {"dice": [0.5, 0.6]}, "A_x_5epochs": {"dice": [0.5, 0.6]}})
    means = tables_of(latex(tmp_path, alike))[0]
    assert [row.split(" & ")[0] for row in body_of(means)] == ["A", r"A\_x"]


def test_latex_holds_what_the_page_does(tmp_path):
    means, intervals, differences, folds, sizes, worst, cost = tables_of(latex(tmp_path, comparison()))
    assert "Look here first." in means
    # Dice: 12 gains, p = 2 / 2**12, times 2 tests
    assert r"Better\_50epochs & 12 & +0.100 & +0.100 to +0.100 & $<$0.001 & +1.00 & 12/0/0 \\" in differences
    [row] = [row for row in body_of(intervals) if row.startswith(r"Better\_50epochs & 12 & 0.")]
    assert re.fullmatch(r"Better\\_50epochs & 12 & 0\.675 & 0\.\d{3} to 0\.\d{3} & 0\.675 \\\\", row)
    # HD95: 11 gains and one infinite loss of the largest rank
    assert r"Better\_50epochs & 12 & 3.00 (+1 $\infty$) & 3.00 to 3.00 & 3.00 \\" in intervals
    [row] = [row for row in body_of(differences) if r"& -1.00 (+1 $\infty$) & -1.00 to -1.00 & " in row]
    assert row.endswith(r" & +0.69 & 11/0/1 \\")
    # the first six of twelve steps from 0.3 to 0.85
    rows = body_of(folds)
    assert rows[0] == r"\multicolumn{4}{l}{\textit{fold 0}} \\"
    assert rows[1] == r"nnUNetTrainer & 6 & 0.425 $\pm$ 0.094 {[}0.425] & 4.00 $\pm$ 0.00 {[}4.00] \\"
    assert rows[2].startswith(r"Better\_50epochs & 6 & 0.525 $\pm$ 0.094 {[}0.525] & ")
    assert "up to 20 mm (T1)" in sizes
    assert r"nnUNetTrainer & case\_00 (0.300), case\_01 (0.350), " in worst
    assert "-- in parameters, GMAC, time, peak: not here (Better" in cost


def test_latex_marks_the_best_mean_by_the_metrics_direction(tmp_path):
    nearer = {"dice": [0.5, 0.6, 0.7], "hd95_mm": [3.0, 4.0, 5.0], "iou": [0.5, 0.6, 0.7]}
    farther = {"dice": [0.6, 0.7, 0.8], "hd95_mm": [4.0, 5.0, 6.0], "iou": [0.5, 0.6, 0.7]}
    means = tables_of(latex(tmp_path, compared({"A": nearer, "B": farther})))[0]
    assert body_of(means) == [  # one that all have is not marked
        r"A & 0.600 $\pm$ 0.100 & \textbf{4.00 $\pm$ 1.00} & 0.600 $\pm$ 0.100 \\",
        r"B & \textbf{0.700 $\pm$ 0.100} & 5.00 $\pm$ 1.00 & 0.600 $\pm$ 0.100 \\",
    ]


def test_a_star_stands_where_a_difference_is_significant(tmp_path):
    means = tables_of(latex(tmp_path, long_names()))[0]
    reference, *others = body_of(means)
    star = r"\rlap{$^*$}"
    assert star not in reference
    for row in others:  # Dice and HD95 differ in all cases alike, IoU in none
        _, dice, iou, hd95 = row.split(" & ")
        assert star in dice
        assert star not in iou
        assert star in hd95
    assert "*: p $<$ 0.05 against nnUNetTrainerBaseline" in means.replace("{*}", "*")


def test_no_mean_is_best_that_leaves_infinite_distances_out(tmp_path):
    """The mean of the lesions that B finds is smaller, though B is significantly worse."""
    one = missed_lesions()
    means, _, differences, *_ = tables_of(latex(tmp_path, one))
    assert r"\textbf" not in means
    # 6 gains of rank 1 to 6 (all of 3) and 14 infinite losses: r = (21 - 189) / 210
    [_, row] = body_of(differences)
    assert row.startswith(r"B & 20 & -3.00 (+14 $\infty$) & ")
    assert row.endswith(r" & $<$0.001 & -0.80 & 6/0/14 \\")
    assert ">B (+14 \N{INFINITY})</text>" in charts_of(page(tmp_path, one))[1]  # beside the drawn difference
    found = Page(page(tmp_path, one)).text
    assert re.search(r"-3\.00 \(\+14 \N{INFINITY}\), p <0\.001, r -0\.80", found)
    assert "-3.00 (+14 \N{INFINITY})" in format_comparison(one)
    assert "Distances are infinite" in means


def test_cases_that_only_one_trainer_has_are_reported_wherever_they_count(tmp_path):
    one = false_lesions()
    means, intervals, differences, folds, *_ = tables_of(latex(tmp_path, one))
    assert r"\textbf" not in means
    assert "in 8 of 15 cases only B has a value" in means
    assert "B & 15 & " in intervals
    assert "B & 7 & " in differences
    assert body_of(folds)[-3:-1] == [r"\multicolumn{3}{l}{\textit{fold 1}} \\", r"A & 0 & -- \\"]
    assert body_of(folds)[-1].startswith("B & 7 & ")
    text = format_comparison(one)
    assert "15 (7 paired)" in text
    assert "only B has a value" in text
    found = Page(page(tmp_path, one)).text
    assert "n 15 (7 paired)" in found  # headline
    assert found.count("15 (7 paired)") == 2
    assert "0 / 7" in found
