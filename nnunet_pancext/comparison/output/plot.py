"""Distributions and differences as small SVG pictures in the colours of the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from nnunet_pancext.comparison.output.cells import INFINITE, infinite_text, value_text
from nnunet_pancext.comparison.paired import Difference
from nnunet_pancext.evaluation.summary_statistics import summary_statistics

WIDTH, ROW, AXIS, SIDE = 520, 50, 26, 14
RIGHT = 54  # room for the number of infinite values
TICKS = 5
TIMES = "\N{MULTIPLICATION SIGN}"
STEPS = (1, 2, 2.5, 5, 10)
PLOT_STYLE = """
.plot { display: block; width: 100%; height: auto; font-size: 12px; }
.plot text { fill: var(--ink); } .plot .tick { fill: var(--soft); font-size: 11px; }
.plot .grid { stroke: var(--line); } .plot .zero { stroke: var(--soft); stroke-dasharray: 4 3; }
.plot .dots { stroke: var(--accent); stroke-width: 5; stroke-linecap: round; opacity: .45; }
.plot .box { fill: none; stroke: var(--ink); stroke-width: 1.2; }
.plot .median { stroke: var(--ink); stroke-width: 2.5; } .plot .mean { fill: var(--ink); }
.plots { display: grid; gap: 1rem 2rem; margin-bottom: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
"""


def strip_plot(values: Sequence[tuple[str, NDArray[np.float64]]], *, metric: str, text: str) -> str:
    """A row for each model: its cases as dots, a box between the quartiles with the median, and the mean.

    Infinite values are counted on the right. Empty where no value is finite.
    """
    finite = {name: array[np.isfinite(array)] for name, array in values}
    everything = np.concatenate(list(finite.values()))
    if not len(everything):
        return ""
    place = _Axis(float(everything.min()), float(everything.max()))
    parts = [_axis(place, metric, rows=len(values))]
    for row, (name, array) in enumerate(values):
        top = row * ROW
        dots = finite[name]
        infinite = int(np.isinf(array).sum())
        parts.append(f'<text x="{SIDE}" y="{top + 13}">{escape(name)}</text>')
        if infinite:
            parts.append(
                f'<text x="{WIDTH - 6}" y="{top + 36}" text-anchor="end">{infinite} {TIMES} {INFINITE}</text>'
            )
        if not len(dots):
            continue
        # spread by a fixed pattern, so that equal values do not hide each other
        heights = top + 32 + 9 * np.sin(2.4 * np.arange(len(dots)))
        path = "".join(f"M{place(x):.1f} {y:.1f}h0" for x, y in zip(dots, heights, strict=True))
        low, middle, high = (place(float(x)) for x in np.quantile(dots, [0.25, 0.5, 0.75]))
        mean = place(float(dots.mean()))
        parts += [
            f'<path class="dots" d="{path}"/>',
            f'<rect class="box" x="{low:.1f}" y="{top + 21}" width="{high - low:.1f}" height="22"/>',
            f'<path class="median" d="M{middle:.1f} {top + 21}v22"/>',
            f'<path class="mean" d="M{mean:.1f} {top + 27}l5 5l-5 5l-5 -5z"/>',
        ]
    return _svg(parts, rows=len(values), text=text)


def difference_plot(differences: Sequence[tuple[str, Difference]], *, metric: str, text: str) -> str:
    """A row for each model: its mean difference to the reference and the 95 % interval, beside a line at 0.

    Empty where no difference is defined.
    """
    known = [one for _, one in differences if math.isfinite(one.mean)]
    if not known:
        return ""
    ends = [0.0, *(end for one in known for end in (one.mean, *one.interval) if math.isfinite(end))]
    place = _Axis(min(ends), max(ends))
    height = len(differences) * ROW
    parts = [
        _axis(place, metric, rows=len(differences), signed=True),
        f'<path class="zero" d="M{place(0):.1f} 0v{height}"/>',
    ]
    for row, (name, one) in enumerate(differences):
        top = row * ROW
        said = escape(name + infinite_text(one.infinite))
        parts.append(f'<text x="{SIDE}" y="{top + 13}">{said}</text>')
        if not math.isfinite(one.mean):
            continue
        if math.isfinite(one.interval[0]):
            low, high = (place(end) for end in one.interval)
            parts.append(f'<path class="median" d="M{low:.1f} {top + 32}H{high:.1f}"/>')
        parts.append(f'<path class="mean" d="M{place(one.mean):.1f} {top + 25}l7 7l-7 7l-7 -7z"/>')
    return _svg(parts, rows=len(differences), text=text)


def range_text(array: NDArray[np.float64], metric: str) -> str:
    """What a plot's row shows, for those who do not see it."""
    found = summary_statistics(array)
    return f"mean {value_text(found.mean, metric)}, median {value_text(found.median, metric)}"


class _Axis:
    """Places of values, with a little air at both ends."""

    def __init__(self, low: float, high: float) -> None:
        air = 0.03 * (high - low) or max(abs(high), 1.0) * 0.05
        self.low, self.high = low - air, high + air

    def __call__(self, value: float) -> float:
        return SIDE + (value - self.low) / (self.high - self.low) * (WIDTH - SIDE - RIGHT)

    def ticks(self) -> list[float]:
        span = self.high - self.low
        power = 10 ** math.floor(math.log10(span / TICKS))
        step = next((one * power for one in STEPS if span / (one * power) <= TICKS), 10 * power)
        first = math.ceil(self.low / step)
        return [index * step for index in range(first, math.floor(self.high / step) + 1)]


def _axis(place: _Axis, metric: str, *, rows: int, signed: bool = False) -> str:
    height = rows * ROW
    return "".join(
        f'<path class="grid" d="M{place(tick):.1f} 0v{height}"/>'
        f'<text class="tick" x="{place(tick):.1f}" y="{height + 16}" text-anchor="middle">'
        f"{_tick_text(tick, signed)}</text>"
        for tick in place.ticks()
    )


def _tick_text(tick: float, signed: bool) -> str:
    text = f"{tick:{'+' if signed else ''}.4g}"
    return "0" if float(text) == 0 else text


def _svg(parts: Sequence[str], *, rows: int, text: str) -> str:
    height = rows * ROW + AXIS
    body = "\n".join(parts)
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(text)}">\n'
        f"{body}\n</svg>"
    )
