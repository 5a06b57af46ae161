"""Charts: what stands on their axes, and that weak eyes can read it."""

import math
import re

import numpy as np
import pytest

from nnunet_pancext.evaluation.probabilities import PrecisionRecall
from nnunet_pancext.figures import charts
from nnunet_pancext.figures.charts import INK, INK_ON_DARK, line_chart, strip_chart
from nnunet_pancext.pages.page import PACKAGE


def luminance(colour):
    values = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize(("ink", "paper"), [(INK, "#ffffff"), (INK_ON_DARK, "#14171a")])
def test_the_text_of_charts_is_read_by_weak_eyes(ink, paper):
    dark, light = sorted((luminance(ink), luminance(paper)))
    assert (light + 0.05) / (dark + 0.05) >= 4.5
    assert f"--page: {paper}" in (PACKAGE / "pages" / "templates" / "style.css").read_text(encoding="utf-8")
    chart = line_chart({"a": ([0, 1], [0, 1])}, x_label="epoch", y_label="loss").svg
    assert f"--ink:{ink}" in chart
    assert "fill: var(--ink)" in chart


def test_epochs_are_whole_numbers():
    svg = line_chart({"a": (range(3), [0.0, 0.5, 1.0])}, x_label="epoch", y_label="loss").svg
    below = re.findall(r'<g id="xtick_.*?>([^<>]+)</text>', svg, re.DOTALL)
    assert below == ["0", "1", "2"]


def test_infinite_distances_are_counted():
    chart = strip_chart({"organ": [1.0, 2.0, 3.0], "tumour": [math.inf] * 14, "none": [math.nan]})
    assert chart.text == "organ: 1 to 3, median 2, mean 2; tumour: 14 infinite; none: no values"
    assert ">14 \N{MULTIPLICATION SIGN} \N{INFINITY}<" in chart.svg
    assert chart.svg.count("\N{INFINITY}<") == 1
    both = strip_chart({"tumour": [1.0, math.inf]}).text
    assert both == "tumour: 1 to 1, median 1, mean 1 and 1 infinite"


def test_the_precision_recall_chart_has_recall_across_and_precision_up(monkeypatch):
    drawn = {}
    monkeypatch.setattr(charts, "line_chart", lambda curves, **options: drawn.update(options, **curves))
    curve = PrecisionRecall(
        threshold=np.array([0.9, 0.1]), recall=np.array([0.25, 1.0]), precision=np.array([1.0, 0.5])
    )
    charts.precision_recall_chart({"tumour": curve})
    assert drawn == {
        "tumour, AP 0.625": ([0.25, 1.0], [1.0, 0.5]),
        "x_label": "recall",
        "y_label": "precision",
        "unit_square": True,
    }
