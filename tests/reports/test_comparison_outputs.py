"""LaTeX, page and pictures of a comparison: what is escaped, what stands where, and that files are whole."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from contracts.chromium import open_page

from nnunet_pancext.comparison.compare import Comparison
from nnunet_pancext.comparison.cost import Cost
from nnunet_pancext.comparison.paired import compare_rows, fold_rows
from nnunet_pancext.comparison.remarks import statistics_remarks
from nnunet_pancext.comparison.scored_cases import ScoredCases
from nnunet_pancext.comparison.strata import default_cuts, stratum_rows
from nnunet_pancext.comparison_report import files as comparison_files
from nnunet_pancext.comparison_report.files import WRITERS, write_comparison
from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.scores import CaseScores, LabelScores
from nnunet_pancext.reports.comparison_cells import p_text, value_text
from nnunet_pancext.reports.comparison_latex import write_comparison_latex
from nnunet_pancext.reports.comparison_page import breakable, write_comparison_page
from nnunet_pancext.reports.comparison_plot import difference_plot, strip_plot
from nnunet_pancext.reports.comparison_text import format_comparison
from nnunet_pancext.reports.latex import latex_text

NAN, INF = math.nan, math.inf
DASH = "\N{EN DASH}"
BETTER, WORSE = "Better_50epochs", "nnUNetTrainer"


def cost(model: str, **known: float) -> Cost:
    unknown = dict.fromkeys(("parameters", "multiply_adds", "epochs"), "not here")
    rest = dict.fromkeys(("seconds_per_epoch", "hours", "peak_gb"), "not here")
    return Cost(**{"model": model, "device": "", **unknown, **rest, **known})


def comparison(models=(WORSE, BETTER), label="tumour", **changes) -> Comparison:
    """Twelve cases; the second model is better in each, and misses the lesion of the last one."""
    dice = np.linspace(0.3, 0.85, 12)
    values = {
        models[0]: {"dice": dice, "hd95_mm": [4.0] * 12},
        models[1]: {"dice": dice + 0.1, "hd95_mm": [3.0] * 11 + [INF]},
    }
    costs = [cost(models[0], parameters=31_000_000, hours=12.0), cost(models[1])]
    return compared(values, label=label, **{"remarks": ["Look here first."], "costs": costs, **changes})


def compared(values, *, label="tumour", **changes) -> Comparison:
    """A comparison of models with the given values of each metric, case by case, in two folds."""
    models, metrics = list(values), list(next(iter(values.values())))
    number = len(values[models[0]][metrics[0]])
    names = tuple(f"case_{index:02d}" for index in range(number))
    scores = {
        model: [
            CaseScores(
                case=case,
                labels={
                    label: LabelScores(
                        **{metric: column[index] for metric, column in columns.items()},
                        truth_volume_ml=index / 2,
                    )
                },
            )
            for index, case in enumerate(names)
        ]
        for model, columns in values.items()
    }
    folds = tuple(0 if index < number / 2 else 1 for index in range(number))
    scored = ScoredCases(cases=names, folds=folds, patients=names, scores=scores)
    cuts = default_cuts(scored, dataset_json={"labels": {"background": 0, label: 1}})
    rows = compare_rows(scored, reference=models[0], family=metrics, seed=0, resamples=200)
    made = Comparison(
        dataset="Dataset007_Pancreas",
        setting="nnUNetPlans 3d_fullres",
        reference=models[0],
        folds=[0, 1],
        metrics=metrics,
        scored=scored,
        rows=rows,
        by_fold=fold_rows(scored, [0, 1]),
        strata=stratum_rows(scored, cuts, metrics),
        costs=[cost(model) for model in models],
        remarks=statistics_remarks(
            scored, rows, reference=models[0], family=metrics, folds=[0, 1], num_folds=2
        ),
        seed=0,
        resamples=200,
    )
    return replace(made, **changes)


def missed_lesions() -> Comparison:
    """B misses 14 of 20 lesions and is nearer in the six that it finds."""
    far = np.linspace(8, 14, 20)
    return compared({"A": {"hd95_mm": far}, "B": {"hd95_mm": [*(far[:6] - 3), *[INF] * 14]}})


def false_lesions() -> Comparison:
    """Seven cases with a lesion and eight without, in each of which B finds one all the same."""
    dice = np.linspace(0.5, 0.75, 7)
    return compared({"A": {"dice": [*dice, *[NAN] * 8]}, "B": {"dice": [*(dice + 0.05), *[0.0] * 8]}})


class Page(HTMLParser):
    """Checks that elements nest, and collects texts and tags."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text, self.tags = "", []
        self.feed(content)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("meta", "wbr", "input", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def page(tmp_path: Path, one: Comparison) -> str:
    write_comparison_page(tmp_path / "page.html", one)
    return (tmp_path / "page.html").read_text(encoding="utf-8")


def latex(tmp_path: Path, one: Comparison) -> str:
    write_comparison_latex(tmp_path / "table.tex", one)
    return (tmp_path / "table.tex").read_text(encoding="utf-8")


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


def test_the_page_is_well_formed_and_holds_all_parts(tmp_path):
    found = Page(page(tmp_path, comparison()))
    for heading in (
        "How to read the tables",
        "By size of the label",
        "By fold",
        "Worst cases",
        "Cost",
        "Cases",
    ):
        assert heading in found.text
    assert "Look here first." in found.text
    assert "+0.100, p <0.001, r +1.00" in found.text
    assert "0.425 ± 0.094median 0.425" in found.text  # fold 0
    assert "1 \N{MULTIPLICATION SIGN} \N{INFINITY}" in found.text
    assert f"{DASH} in parameters, GMAC, time, peak: not here (Better_50epochs)" in found.text
    assert found.tags.count("svg") == 4


def test_the_page_lets_run_its_own_script_only(tmp_path):
    content = page(tmp_path, comparison())
    [script] = re.findall("<script>(.*?)</script>", content, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
        in content
    )
    assert not re.search(r"https?://|url\(|@import|\bsrc=", content)


def test_the_case_table_sorts_by_numbers(tmp_path):
    content = page(tmp_path, comparison())
    table = content.split('class="sortable"')[1]
    assert table.count("<tr>") == 1 + 12
    assert re.search(r'case_00</th><td data-value="0.0">0</td><td>tumour</td>', table)
    assert re.search(r'data-value="0.3\d*">0.300</td><td data-value="0.4\d*">0.400</td>', table)


def test_the_page_in_a_browser(tmp_path):
    page(tmp_path, comparison())

    def first(column: int) -> str:
        return f"document.querySelector('.sortable tbody tr').cells[{column}].textContent"

    with open_page(tmp_path / "page.html") as shown:
        assert shown.errors == []
        assert shown.run(first(0)) == "case_00"
        sort = "document.querySelectorAll('.sortable thead button')[4].click()"
        shown.run(sort)
        assert shown.run(first(4)) == "0.300"
        shown.run(sort)
        assert shown.run(first(4)) == "0.850"
        assert shown.run("document.querySelectorAll('svg').length") == 4
        assert shown.errors == []


def test_infinite_differences_sort_to_both_ends_and_undefined_ones_last(tmp_path):
    one = compared({"A": {"hd95_mm": [INF, 5.0, 2.0, NAN]}, "B": {"hd95_mm": [3.0, INF, 4.0, 1.0]}})
    page(tmp_path, one)
    rows = "[...document.querySelectorAll('.sortable tbody tr')]"
    with open_page(tmp_path / "page.html") as shown:
        orders = []
        for _ in range(2):
            shown.run("document.querySelectorAll('.sortable thead button')[6].click()")
            orders.append(shown.run(f"{rows}.map(row => row.cells[6].textContent).join(' ')"))
    assert orders == [f"-\N{INFINITY} +2.00 \N{INFINITY} {DASH}", f"\N{INFINITY} +2.00 -\N{INFINITY} {DASH}"]


def test_all_texts_are_escaped(tmp_path):
    mark = "<b a='1'>&\"$x"
    one = comparison(models=("A" + mark, "B" + mark), label="tumour" + mark)
    one = replace(one, dataset=mark, setting=mark, remarks=[mark])
    content = page(tmp_path, one)
    assert "<b a=" not in content
    assert Page(content).text.count(mark) > 20
    latex(tmp_path, one)


def test_text_holds_every_table_and_remark():
    text = format_comparison(comparison())
    lines = text.splitlines()
    assert "tumour: Dice" in lines
    [line] = [line for line in lines if line.startswith("Better_50epochs  12  0.675")]
    assert line.split() == [
        *("Better_50epochs", "12", "0.675", "±", "0.180"),
        *line.split()[5:8],
        *("0.675", "+0.100", "(+0.100", "to", "+0.100)", "<0.001*", "+1.00", "12/0/0"),
    ]
    assert "note: Look here first." in lines
    assert f"{DASH} in parameters, GMAC, time, peak: not here (Better_50epochs)" in lines


def test_an_undefined_value_is_a_dash_and_an_infinite_one_says_so():
    assert [value_text(one, "dice") for one in (NAN, INF, -INF, 0.12345, -0.0001)] == [
        *(DASH, "\N{INFINITY}", "-\N{INFINITY}", "0.123", "0.000")
    ]
    assert value_text(0.25, "hd95_mm", signed=True) == "+0.25"
    assert [p_text(one) for one in (NAN, 0.00099, 0.001, 1.0)] == [DASH, "<0.001", "0.001", "1.000"]


def test_long_names_may_break_between_their_words():
    assert breakable("nnUNetTrainer_50epochs") == "nn<wbr>UNet<wbr>Trainer_<wbr>50epochs"
    assert breakable("a<b") == "a&lt;b"


def test_nothing_finite_draws_nothing():
    values = [("A", np.array([NAN, INF])), ("B", np.array([NAN]))]
    assert strip_plot(values, metric="hd95_mm", text="") == ""
    assert difference_plot([], metric="dice", text="") == ""


def test_one_value_for_all_is_drawn():
    picture = strip_plot([("A", np.array([0.5] * 3))], metric="dice", text="three equal")
    assert picture.count("h0") == 3
    assert "nan" not in picture


def test_files_are_whole_or_absent(tmp_path, monkeypatch):
    write_comparison(tmp_path, comparison())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(before) == set(WRITERS)

    def broken(path, one):
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(comparison_files.WRITERS, "comparison.tex", broken)
    with pytest.raises(PancextError, match=r"Cannot write to .*: No space left on device\. Give another"):
        write_comparison(tmp_path, comparison())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_a_file_that_cannot_be_finished_leaves_the_old_one(name, tmp_path):
    target = tmp_path / name
    target.write_text("old")
    surrogate = comparison(label="tumour\ud800")  # cannot be encoded
    if name == "cost.csv":
        surrogate = replace(surrogate, costs=[cost("\ud800")])
    with pytest.raises(UnicodeEncodeError):
        WRITERS[name](target, surrogate)
    assert target.read_text() == "old"
    assert not list(tmp_path.glob(".partial-*"))
