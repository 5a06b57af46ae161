"""Charts of a training and its scores as SVG that reads on a light page and on a dark one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from io import StringIO

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nnunet_pancext.evaluation.probabilities import PrecisionRecall
from nnunet_pancext.pages.pictures import Chart

# No grey is 4.5 to 1 on a white page and on a black one too, so that text has one for each.
INK, INK_ON_DARK = "#5a636d", "#9aa4ae"
INK_STYLE = (
    f"<style>:root{{--ink:{INK}}}@media (prefers-color-scheme:dark){{:root{{--ink:{INK_ON_DARK}}}}}</style>"
)
# Of middling lightness, so that neither page swallows them.
COLOURS = ("#2b8fb3", "#d9792b", "#4f9d4a", "#b0589b", "#c0504d", "#8a7fd1", "#9b8237", "#4aa39a")
SHADE = "#8088901f"
WIDTH_IN, LEGEND_ROW_IN = 5.2, 0.2
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
    """Return the chart of curves (x and y values) by name; where x are ranges, whole numbers stand below it.

    `bands` are named stretches of x, shaded in turns.
    """
    columns = _legend_columns(list(curves))
    legend_in = LEGEND_ROW_IN * math.ceil(len(curves) / columns) if len(curves) > 1 else 0.0
    figure, axes = _axes(width_in=WIDTH_IN, height_in=(4.2 if unit_square else 2.9) + legend_in)
    for index, (name, (x, y)) in enumerate(curves.items()):
        alone = len(x) == 1
        axes.plot(
            x,
            y,
            color=COLOURS[index % len(COLOURS)],
            linestyle=("solid", "dashed", "dotted")[index // len(COLOURS) % 3],
            linewidth=1.6,
            marker="o" if alone else None,
            label=name,
        )
    for number, (start, end, name) in enumerate(bands):
        if number % 2 == 0:
            axes.axvspan(start, end, color=SHADE, linewidth=0)
        axes.text(
            (start + end) / 2, 1, name, transform=axes.get_xaxis_transform(), ha="center", va="bottom",
            fontsize=8, color=INK, parse_math=False,
        )  # fmt: skip
    if unit_square:
        axes.set_xlim(0, 1.01)
        axes.set_ylim(0, 1.03)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    if all(isinstance(x, range) for x, _ in curves.values()):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(curves) > 1:
        _legend(figure, columns)
    said = [f"{y_label} by {x_label}", *(_range(name, y) for name, (_, y) in curves.items())]
    return Chart(svg=_svg(figure), text="; ".join(said))


def precision_recall_chart(curves: Mapping[str, PrecisionRecall]) -> Chart | None:
    """Return the precision-recall curves by name, each with its AP; None where no curve has a point."""
    shown: dict[str, Curve] = {
        f"{name}, AP {curve.average_precision:.3f}": (curve.recall.tolist(), curve.precision.tolist())
        for name, curve in curves.items()
        if len(curve.recall)
    }
    return line_chart(shown, x_label="recall", y_label="precision", unit_square=True) if shown else None


def strip_chart(groups: Mapping[str, Sequence[float]], *, x_label: str, in_unit: bool = False) -> Chart:
    """Return each group as a row: a box from the first to the third quartile, the median, and every value.

    Infinite values are counted on the right, undefined ones left out.
    """
    figure, axes = _axes(width_in=WIDTH_IN, height_in=0.7 + 0.55 * len(groups))
    rng = np.random.default_rng(0)
    counts = [sum(map(math.isinf, values)) for values in groups.values()]
    for index, values in enumerate(groups.values()):
        finite = np.array([value for value in values if math.isfinite(value)])
        row, colour = len(groups) - 1 - index, COLOURS[index % len(COLOURS)]
        if len(finite):
            first, middle, third = np.percentile(finite, (25, 50, 75))
            axes.barh(row, third - first, left=first, height=0.55, color=colour, alpha=0.25)
            axes.plot([middle, middle], [row - 0.28, row + 0.28], color=colour, linewidth=2.2)
            axes.scatter(finite, row + rng.uniform(-0.17, 0.17, len(finite)), s=13, color=colour, alpha=0.8)
    axes.set_yticks(range(len(groups)), list(groups)[::-1])
    for text in axes.get_yticklabels():
        text.set_parse_math(False)
    axes.set_ylim(-0.6, len(groups) - 0.4)
    for index, count in enumerate(counts):
        if count:
            axes.text(
                1.01, len(groups) - 1 - index, f"{count} {TIMES} {INFINITE}",
                transform=axes.get_yaxis_transform(), va="center", fontsize=9, color=INK,
            )  # fmt: skip
    if in_unit:
        axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel(x_label)
    axes.grid(axis="y", visible=False)
    return Chart(svg=_svg(figure), text="; ".join(_range(name, values) for name, values in groups.items()))


def _axes(*, width_in: float, height_in: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width_in, height_in), layout="constrained", facecolor="none")
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


def _range(name: str, values: Sequence[float]) -> str:
    finite = [value for value in values if math.isfinite(value)]
    infinite = sum(map(math.isinf, values))
    told = []
    if finite:
        middle = float(np.median(finite))
        told.append(f"{min(finite):.3g} to {max(finite):.3g}, median {middle:.3g}")
    if infinite:
        told.append(f"{infinite} infinite")
    return f"{name}: {' and '.join(told) or 'no values'}"


def _legend_columns(names: Sequence[str]) -> int:
    """How many names, with a piece of line each, stand beside one another below a chart."""
    entry_in = 0.55 + 0.068 * max(map(len, names), default=0)
    return max(1, min(len(names), int(WIDTH_IN / entry_in)))


def _legend(figure: Figure, columns: int) -> None:
    # Below the axes, where it hides no curve.
    legend = figure.legend(
        loc="outside lower center", ncols=columns, frameon=False, labelcolor=INK, fontsize=8.5
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _svg(figure: Figure) -> str:
    out = StringIO()
    # Text stays text: it is smaller, can be searched, and takes a font of the reader's machine.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "nnunet_pancext"}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    drawn = out.getvalue().replace(INK, "var(--ink)")
    return drawn.replace("<defs>", f"{INK_STYLE}<defs>", 1)
