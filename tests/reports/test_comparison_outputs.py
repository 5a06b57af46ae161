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
from nnunet_pancext.comparison.scored_cases import ScoredCases
from nnunet_pancext.comparison.strata import default_cuts, stratum_rows
from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.scores import CaseScores, LabelScores
from nnunet_pancext.reports import comparison_files
from nnunet_pancext.reports.comparison_files import WRITERS, write_comparison
from nnunet_pancext.reports.comparison_latex import latex_text, write_comparison_latex
from nnunet_pancext.reports.comparison_page import breakable, write_comparison_page
from nnunet_pancext.reports.comparison_plot import difference_plot, strip_plot
from nnunet_pancext.reports.comparison_text import format_comparison, p_text, value_text

NAN, INF = math.nan, math.inf
DASH = "\N{EN DASH}"
BETTER, WORSE = "Better_50epochs", "nnUNetTrainer"


def cost(model: str, **known: float) -> Cost:
    unknown = dict.fromkeys(("parameters", "multiply_adds", "epochs"), "not here")
    rest = dict.fromkeys(("seconds_per_epoch", "hours", "peak_gb"), "not here")
    return Cost(**{"model": model, "device": "", **unknown, **rest, **known})


def comparison(models=(WORSE, BETTER), label="tumour", **changes) -> Comparison:
    """Twelve cases; the second model is better in each, and misses the lesion of the last one."""
    names = tuple(f"case_{index:02d}" for index in range(12))
    dice = np.linspace(0.3, 0.85, 12)
    distances = {models[0]: [4.0] * 12, models[1]: [3.0] * 11 + [INF]}
    scores = {
        model: [
            CaseScores(
                case=case,
                labels={
                    label: LabelScores(
                        dice=dice[index] + gain, hd95_mm=distances[model][index], truth_volume_ml=index / 2
                    )
                },
            )
            for index, case in enumerate(names)
        ]
        for model, gain in zip(models, (0.0, 0.1), strict=True)
    }
    scored = ScoredCases(cases=names, folds=(0,) * 6 + (1,) * 6, patients=names, scores=scores)
    metrics = ["dice", "hd95_mm"]
    cuts = default_cuts(scored, dataset_json={"labels": {"background": 0, label: 1}})
    made = Comparison(
        dataset="Dataset007_Pancreas",
        setting="nnUNetPlans 3d_fullres",
        reference=models[0],
        folds=[0, 1],
        metrics=metrics,
        scored=scored,
        rows=compare_rows(scored, reference=models[0], family=metrics, seed=0, resamples=200),
        by_fold=fold_rows(scored, [0, 1]),
        strata=stratum_rows(scored, cuts, metrics),
        costs=[cost(models[0], parameters=31_000_000, hours=12.0), cost(models[1])],
        remarks=["Look here first."],
        seed=0,
        resamples=200,
    )
    return replace(made, **changes)


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
        if tag not in ("meta", "wbr", "input"):
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
    ],
)
def test_latex_is_escaped(text, expected):
    assert latex_text(text) == expected


def test_latex_tables_are_balanced_and_complete(tmp_path):
    content = latex(tmp_path, comparison())
    tables = re.findall(r"\\begin\{table\}.*?\\end\{table\}", content, re.DOTALL)
    assert len(tables) == 2
    for table in tables:
        columns = re.search(r"\\begin\{tabular\}\{([lr]+)\}", table)[1]
        assert [table.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]
        rows = table.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
        assert len(rows) == 2
        for row in rows:
            assert row.endswith(r" \\")
            assert len(re.findall(r"(?<!\\)&", row)) == len(columns) - 1
        assert table.count("{") - table.count(r"\{") == table.count("}") - table.count(r"\}")
    assert r"\usepackage{booktabs}" in content
    assert r"\cmidrule(lr){2-3} \cmidrule(lr){4-5}" in tables[0]


def test_latex_marks_the_best_mean_by_the_metrics_direction(tmp_path):
    rows = latex(tmp_path, comparison()).splitlines()
    [better] = [row for row in rows if row.startswith(r"Better\_50epochs & \textbf")]
    # Dice: 12 gains, p = 2 / 2**12, times 2 tests; HD95: 11 gains and one infinite loss of the largest rank
    assert better.startswith(
        r"Better\_50epochs & \textbf{0.675} $\pm$ 0.180 & $<$0.001 & \textbf{3.00} $\pm$ 0.00"
    )
    [worse] = [row for row in rows if row.startswith("nnUNetTrainer & 0.")]
    assert worse == r"nnUNetTrainer & 0.575 $\pm$ 0.180 &  & 4.00 $\pm$ 0.00 &  \\"


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
    assert "+0.100, p <0.001" in found.text
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
