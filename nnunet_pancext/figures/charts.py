"""Charts of trainings and scores as SVG, legible on light and on dark pages."""

import math
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any, Literal, Protocol

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from nnunet_pancext.pages.pictures import Chart

# No grey has a contrast of 4.5 on both white and black, so text has one for each.
INK, INK_ON_DARK = "#5a636d", "#9aa4ae"
INK_STYLE = (
    f"<style>:root{{--ink:{INK}}}@media (prefers-color-scheme:dark){{:root{{--ink:{INK_ON_DARK}}}}}</style>"
)
# Of medium lightness, visible on both pages.
COLOURS = ("#2b8fb3", "#d9792b", "#4f9d4a", "#b0589b", "#c0504d", "#8a7fd1", "#9b8237", "#4aa39a")
SHADE = "#8088901f"
WIDTH_IN, LEGEND_ROW_IN = 5.2, 0.2
BOX = 0.4  # height, in rows
TIMES, INFINITE = "\N{MULTIPLICATION SIGN}", "\N{INFINITY}"
Curve = tuple[Sequence[float], Sequence[float]]


def line_chart(
    curves: Mapping[str, Curve],
    *,
    x_label: str,
    y_label: str,
    bands: Sequence[tuple[float, float, str]] = (),
    unit_square: bool = False,
) -> Chart:
    """Draw curves (x and y values) by name; ticks are whole numbers where every x is a range.

    `bands` are named intervals of x, every second one shaded.
    """
    entry_in = 0.55 + 0.068 * max(map(len, curves), default=0)  # of the legend
    columns = max(1, min(len(curves), int(WIDTH_IN / entry_in)))
    legend_in = LEGEND_ROW_IN * math.ceil(len(curves) / columns) if len(curves) > 1 else 0.0
    figure, axes = _axes((4.2 if unit_square else 2.9) + legend_in)
    for index, (name, (x, y)) in enumerate(curves.items()):
        style, colour = divmod(index, len(COLOURS))
        (line,) = axes.plot(x, y, color=COLOURS[colour], linewidth=1.6, label=name)
        line.set_linestyle(("solid", "dashed", "dotted")[style % 3])
        line.set_marker("o" if len(x) == 1 else "")
    for number, (start, end, name) in enumerate(bands):
        if number % 2 == 0:
            axes.axvspan(start, end, color=SHADE, linewidth=0)
        place: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "ha": "center", "va": "bottom"}
        axes.text((start + end) / 2, 1, name, fontsize=8, color=INK, parse_math=False, **place)
    if unit_square:
        axes.set(xlim=(0, 1.01), ylim=(0, 1.03))
    axes.set(xlabel=x_label, ylabel=y_label)
    if all(isinstance(x, range) for x, _ in curves.values()):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(curves) > 1:  # below the axes, where it hides no curve
        legend = figure.legend(
            loc="outside lower center", ncols=columns, frameon=False, labelcolor=INK, fontsize=8.5
        )
        for text in legend.get_texts():
            text.set_parse_math(False)
    words = [f"{y_label} by {x_label}", *(_range(name, y) for name, (_, y) in curves.items())]
    return Chart(svg=_svg(figure), text="; ".join(words))


class PrecisionRecallCurve(Protocol):
    """Precision and recall at each threshold, and the average precision."""

    @property
    def precision(self) -> NDArray[np.float64]: ...
    @property
    def recall(self) -> NDArray[np.float64]: ...
    @property
    def average_precision(self) -> float: ...


def precision_recall_chart(curves: Mapping[str, PrecisionRecallCurve]) -> Chart | None:
    """Draw precision-recall curves by name, each with its AP; None where no curve has a point."""
    points: dict[str, Curve] = {
        f"{name}, AP {curve.average_precision:.3f}": (curve.recall.tolist(), curve.precision.tolist())
        for name, curve in curves.items()
        if len(curve.recall)
    }
    return line_chart(points, x_label="recall", y_label="precision", unit_square=True) if points else None


def strip_chart(groups: Mapping[str, Sequence[float]], *, in_unit: bool = False) -> Chart:
    """Draw the values of each group in a row: the quartiles as a box, median, mean and every value.

    Infinite values are counted on the right, undefined ones omitted.
    """
    figure, axes = _rows(list(groups))
    for row, values in enumerate(groups.values()):
        finite = np.array([value for value in values if math.isfinite(value)])
        colour, infinite = COLOURS[row % len(COLOURS)], sum(map(math.isinf, values))
        if len(finite):
            first, middle, third = np.percentile(finite, (25, 50, 75))
            axes.barh(row, third - first, left=first, height=BOX, color=colour, alpha=0.25)
            axes.plot([middle, middle], [row - BOX / 2, row + BOX / 2], color=colour, linewidth=2.2)
            # A fixed pattern, so that equal values do not hide each other.
            offsets = 0.15 * np.sin(2.4 * np.arange(len(finite)))
            axes.scatter(finite, row + offsets, s=13, color=colour, alpha=0.8)
            axes.plot(finite.mean(), row, marker="D", markersize=5, color=INK)
        if infinite:
            place: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "ha": "right", "va": "center"}
            axes.text(1, row, f"{infinite} {TIMES} {INFINITE}", fontsize=9, color=INK, **place)
    if in_unit:
        axes.set_xlim(-0.02, 1.02)
    elif any(math.isinf(value) for values in groups.values() for value in values):
        low, high = axes.get_xlim()
        axes.set_xlim(low, high + 0.15 * (high - low))
    words = (_range(name, values, with_mean=True) for name, values in groups.items())
    return Chart(svg=_svg(figure), text="; ".join(words))


def difference_chart(differences: Mapping[str, tuple[float, tuple[float, float]]]) -> Chart | None:
    """Draw each mean difference (first) with its interval (second) in a row, beside a line at 0.

    Returns None where no difference is defined.
    """
    if not any(math.isfinite(mean) for mean, _ in differences.values()):
        return None
    figure, axes = _rows(list(differences))
    axes.axvline(0, color=INK, linestyle="dashed", linewidth=1)
    words = []
    for row, (name, (mean, interval)) in enumerate(differences.items()):
        if not math.isfinite(mean):
            words.append(f"{name}: undefined")
            continue
        words.append(f"{name}: {mean:+.3g}")
        if all(map(math.isfinite, interval)):
            words[-1] += f", interval {interval[0]:+.3g} to {interval[1]:+.3g}"
            axes.plot(interval, [row, row], color=INK, linewidth=2.2)
        axes.plot(mean, row, marker="D", markersize=8, color=COLOURS[0])
    return Chart(svg=_svg(figure), text="; ".join(words))


def _rows(names: Sequence[str]) -> tuple[Figure, Axes]:
    """Axes with a row below each name, which has a line of its own however long it is."""
    height_in = 0.3 + 0.55 * len(names)
    # Fixed margins: a layout engine would take most of the time.
    figure, axes = _axes(height_in, layout=None)
    bottom = 1 - (0.05 + 0.55 * len(names)) / height_in
    axes.set_position((0.03, bottom, 0.94, 0.55 * len(names) / height_in))
    axes.set(ylim=(len(names) - 0.5, -0.6), yticks=[])
    place: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "bottom"}
    for row, name in enumerate(names):
        axes.text(0.012, row - 0.28, name, fontsize=9, color=INK, parse_math=False, **place)
    return figure, axes


def _axes(height_in: float, *, layout: Literal["constrained"] | None = "constrained") -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH_IN, height_in), layout=layout, facecolor="none")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    axes.set_facecolor("none")
    axes.grid(color=INK, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
    axes.tick_params(colors=INK, labelsize=9)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    return figure, axes


def _range(name: str, values: Sequence[float], *, with_mean: bool = False) -> str:
    """Describe a group in words."""
    finite = [value for value in values if math.isfinite(value)]
    words = []
    if finite:
        mean = f", mean {np.mean(finite):.3g}" if with_mean else ""
        words.append(f"{min(finite):.3g} to {max(finite):.3g}, median {np.median(finite):.3g}{mean}")
    if infinite := sum(map(math.isinf, values)):
        words.append(f"{infinite} infinite")
    return f"{name}: {' and '.join(words) or 'no values'}"


def _svg(figure: Figure) -> str:
    out = StringIO()
    # Text stays text: smaller, searchable, and in the reader's font.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "nnunet_pancext"}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue().replace(INK, "var(--ink)").replace("<defs>", f"{INK_STYLE}<defs>", 1)
