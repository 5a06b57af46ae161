"""Page, text and pictures of a comparison: what is escaped, what stands where, and that files are whole."""

import base64
import hashlib
import re
from dataclasses import replace

import numpy as np
import pytest
from made_comparison import DASH, INF, NAN, Page, charts_of, compared, comparison, cost, latex, page

from nnunet_pancext.comparison.output import files as comparison_files
from nnunet_pancext.comparison.output.cells import p_text, value_text
from nnunet_pancext.comparison.output.console import format_comparison
from nnunet_pancext.comparison.output.files import WRITERS, write_comparison
from nnunet_pancext.errors import PancextError
from nnunet_pancext.figures.charts import difference_chart, line_chart, strip_chart
from nnunet_pancext.pages.page import soft_wrap


@pytest.fixture(scope="module")
def plain_page(tmp_path_factory):
    """The page of two trainers."""
    folder = tmp_path_factory.mktemp("plain")
    page(folder, comparison())
    return folder / "page.html"


@pytest.fixture(scope="module")
def content(plain_page):
    return plain_page.read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_holds_all_parts(content):
    found = Page(content)
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
    assert f"{DASH} in parameters, GMAC, time, peak: not here (Better_50epochs)" in found.text
    assert found.tags.count("img") == 4
    assert ["1 \N{MULTIPLICATION SIGN} \N{INFINITY}<" in chart for chart in charts_of(content)] == [
        *(False, False, True, False)
    ]


def test_the_page_allows_only_its_own_script(content):
    [script] = re.findall("<script>(.*?)</script>", content, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
        in content
    )
    assert not re.search(r"https?://|url\(|@import|\bsrc=(?!\"data:)", content)


def test_the_case_table_sorts_by_numbers(content):
    table = content.split('class="sortable"')[1]
    assert table.count("<tr>") == 1 + 12
    assert re.search(r'case_00</th><td data-value="0.0">0</td><td>tumour</td>', table)
    assert re.search(r'data-value="0.3\d*">0.300</td><td data-value="0.4\d*">0.400</td>', table)


def test_the_page_in_a_browser(browser, plain_page):
    def first(column: int) -> str:
        return f"document.querySelector('.sortable tbody tr').cells[{column}].textContent"

    with browser.open(plain_page) as shown:
        assert shown.errors == []
        assert shown.run(first(0)) == "case_00"
        sort = "document.querySelectorAll('.sortable thead button')[4].click()"
        shown.run(sort)
        assert shown.run(first(4)) == "0.300"
        shown.run(sort)
        assert shown.run(first(4)) == "0.850"
        assert shown.run("document.images.length") == 4
        assert shown.errors == []


def test_infinite_differences_sort_to_both_ends_and_undefined_ones_last(browser, tmp_path):
    result = compared({"A": {"hd95_mm": [INF, 5.0, 2.0, NAN]}, "B": {"hd95_mm": [3.0, INF, 4.0, 1.0]}})
    page(tmp_path, result)
    rows = "[...document.querySelectorAll('.sortable tbody tr')]"
    with browser.open(tmp_path / "page.html") as shown:
        orders = []
        for _ in range(2):
            shown.run("document.querySelectorAll('.sortable thead button')[6].click()")
            orders.append(shown.run(f"{rows}.map(row => row.cells[6].textContent).join(' ')"))
    assert orders == [f"-\N{INFINITY} +2.00 \N{INFINITY} {DASH}", f"\N{INFINITY} +2.00 -\N{INFINITY} {DASH}"]


def test_all_texts_are_escaped(tmp_path):
    mark = "<b a='1'>&\"$x"
    result = comparison(models=("A" + mark, "B" + mark), label="tumour" + mark)
    result = replace(result, dataset=mark, setting=mark, remarks=[mark])
    content = page(tmp_path, result)
    assert "<b a=" not in content
    assert Page(content).text.count(mark) > 20
    latex(tmp_path, result)


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
    assert [value_text(value, "dice") for value in (NAN, INF, -INF, 0.12345, -0.0001)] == [
        *(DASH, "\N{INFINITY}", "-\N{INFINITY}", "0.123", "0.000")
    ]
    assert value_text(0.25, "hd95_mm", signed=True) == "+0.25"
    assert [p_text(p) for p in (NAN, 0.00099, 0.001, 1.0)] == [DASH, "<0.001", "0.001", "1.000"]


def test_long_names_may_break_between_their_words():
    assert soft_wrap("nnUNetTrainer_50epochs") == "nn<wbr>UNet<wbr>Trainer_<wbr>50epochs"
    assert soft_wrap("true volume, mL") == "true volume, mL"
    assert soft_wrap("a<b") == "a&lt;b"


def test_nothing_finite_draws_nothing(tmp_path):
    assert difference_chart({}) is None
    assert difference_chart({"A": (NAN, (NAN, NAN))}) is None
    content = page(tmp_path, compared({"A": {"hd95_mm": [NAN, INF]}, "B": {"hd95_mm": [NAN, INF]}}))
    assert [chart for chart in charts_of(content) if "HD95" not in chart] == charts_of(content)
    assert "HD95, mm, by case" not in content


def test_one_value_for_all_is_drawn():
    chart = strip_chart({"A": [0.5] * 3})
    assert chart.text == "A: 0.5 to 0.5, median 0.5, mean 0.5"
    assert len(re.findall("<use [^>]*fill: #2b8fb3", chart.svg)) == 3
    assert "nan" not in chart.svg


def test_files_are_whole_or_absent(tmp_path, monkeypatch):
    write_comparison(tmp_path, comparison())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(before) == set(WRITERS)

    def broken(path, comparison):
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(comparison_files.WRITERS, "comparison.tex", broken)
    with pytest.raises(PancextError, match=r"Cannot write to .*: No space left on device\. Give another"):
        write_comparison(tmp_path, comparison())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_a_file_that_cannot_be_finished_leaves_the_old_one(name, tmp_path, monkeypatch):
    target = tmp_path / name
    target.write_text("old", encoding="utf-8")
    surrogate = comparison(label="tumour\ud800")  # cannot be encoded
    if name == "cost.csv":
        surrogate = replace(surrogate, costs=[cost("\ud800")])
    monkeypatch.setattr("nnunet_pancext.comparison.output.latex.HEAD", "\ud800")  # the rest of it is ASCII
    with pytest.raises(UnicodeEncodeError):
        WRITERS[name](target, surrogate)
    assert target.read_text(encoding="utf-8") == "old"
    assert not list(tmp_path.glob(".partial-*"))


@pytest.fixture(scope="module")
def wide_page(tmp_path_factory):
    """The page of six trainers with long names that end alike."""
    dice = np.linspace(0.3, 0.85, 12)
    distances = [*np.linspace(20, 140, 10), INF, INF]
    values = {
        f"MultiHeadAttentionUNet{letter}Trainer_50epochs_100iterations": {
            "dice": dice + shift,
            "hd95_mm": distances,
        }
        for letter, shift in zip("ABCDEF", np.linspace(0, 0.1, 6), strict=True)
    }
    folder = tmp_path_factory.mktemp("wide")
    page(folder, compared(values))
    return folder / "page.html"


WIDTHS = "[{}].map(part => [part.scrollWidth, part.clientWidth])"


def test_a_printed_comparison_has_every_column(browser, wide_page):
    with browser.open(wide_page) as shown:
        shown.print_on_a4()
        wide = "document.documentElement, ...document.querySelectorAll('.scroll')"
        sizes = shown.run(WIDTHS.format(wide))
        size = "parseFloat(getComputedStyle(document.querySelector('.sortable td')).fontSize)"
        assert shown.run(size) > 6
        assert shown.run("getComputedStyle(document.querySelector('.filter')).display") == "none"
    assert len(sizes) >= 6
    assert all(needed <= there for needed, there in sizes)


def test_a_narrow_screen_scrolls_tables_and_not_the_page(browser, wide_page):
    with browser.open(wide_page) as shown:
        shown.call(
            "Emulation.setDeviceMetricsOverride", width=400, height=800, deviceScaleFactor=1, mobile=False
        )
        [[needed, there]] = shown.run(WIDTHS.format("document.documentElement"))
        tables = shown.run(WIDTHS.format("...document.querySelectorAll('.scroll')"))
    assert needed <= there <= 400
    assert any(needed > there for needed, there in tables)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_comparison_is_read_in_light_and_dark(browser, wide_page, scheme):
    with browser.open(wide_page) as shown:
        shown.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        paper = shown.run("getComputedStyle(document.body).backgroundColor")
        # text of the page and of a table; tests/figures/test_charts.py is about that of charts
        inks = shown.run("['h2', 'td'].map(name => getComputedStyle(document.querySelector(name)).color)")
    paper, *inks = (sum(map(int, re.findall(r"\d+", colour)[:3])) / 3 for colour in (paper, *inks))
    assert all((ink < 64 < 192 < paper) if scheme == "light" else (paper < 64 < 192 < ink) for ink in inks)


def test_the_filter_of_a_comparison_hides_other_cases(browser, wide_page):
    with browser.open(wide_page) as shown:
        shown.run(
            "{const i = document.querySelector('input[type=search]');"
            "i.value = 'CASE_07'; i.dispatchEvent(new Event('input'))}"
        )
        rows = "[...document.querySelectorAll('.sortable tbody tr:not([hidden])')]"
        assert shown.run(f"{rows}.map(row => row.cells[0].textContent)") == ["case_07"]


def test_a_shared_suffix_is_reported_once(wide_page):
    text = Page(wide_page.read_text(encoding="utf-8")).text
    sentence = "All trainers have the suffix _50epochs_100iterations, which their names here omit."
    assert sentence in text
    assert text.count("_100iterations") == 1


def test_a_legend_lies_below_the_curves():
    curves = {f"{letter * 30}": ([0, 1], [0, 1]) for letter in "ABCDE"}
    svg = line_chart(curves, x_label="epoch", y_label="loss").svg
    lowest = max(float(y) for y in re.findall(r'<use [^>]*y="([\d.]+)"', svg))
    places = [float(y) for y in re.findall(r"translate\([\d.]+ ([\d.]+)\)[^>]*>[A-E]{30}<", svg)]
    places += [float(y) for y in re.findall(r'<text [^>]*y="([\d.]+)"[^>]*>[A-E]{30}<', svg)]
    assert len(places) == 5
    assert min(places) > lowest
