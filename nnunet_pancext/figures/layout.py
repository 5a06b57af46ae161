"""The sheet of a figure: a title, panels in two columns, a legend, and its PNG file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from nnunet_pancext.figures.fonts import use_installed_fonts
from nnunet_pancext.figures.panel import INK, Plane, draw_picture
from nnunet_pancext.io.files import atomic_path

BACKGROUND = "#101214"
PIXELS_PER_INCH = 170
PANEL_WIDTH_IN, GAP_IN, TITLE_IN, LEGEND_ROW_IN = 3.4, 0.25, 0.7, 0.22


def sheet_of_panels(
    volume: NDArray[np.generic],
    spacing_mm: tuple[float, float, float],
    centre: tuple[int, int, int],
    *,
    planes: Sequence[Plane],
    second: str,
    title: str,
    window: tuple[float, float],
    legend_rows: int,
) -> tuple[Figure, list[tuple[Axes, Plane]]]:
    """Return a titled figure with slices through `centre`: the first of `planes` twice, then the others.

    `second` names what distinguishes the second panel. `spacing_mm` is along (slice, row, column). A row is
    as high as its lower plane, so that the coronal and the sagittal one have the same scale, and at most as
    high as a panel is wide.
    """
    first = planes[0]
    names = [first.name, f"{first.name}, {second}", *(plane.name for plane in planes[1:])]
    drawn = [first, *planes]

    def height_in(plane: Plane) -> float:
        height, width = (volume.shape[axis] * spacing_mm[axis] for axis in range(3) if axis != plane.axis)
        return PANEL_WIDTH_IN * min(1.0, height / width)

    rows_in = [min(map(height_in, drawn[start : start + 2])) for start in range(0, len(drawn), 2)]
    width_in = 2 * PANEL_WIDTH_IN + 3 * GAP_IN
    full_in = TITLE_IN + sum(rows_in) + GAP_IN * (len(rows_in) - 1) + (legend_rows + 1) * LEGEND_ROW_IN
    figure = Figure(figsize=(width_in, full_in), dpi=PIXELS_PER_INCH, facecolor=BACKGROUND)
    panels = []
    for number, (name, plane) in enumerate(zip(names, drawn, strict=True)):
        row, column = divmod(number, 2)
        left_in = GAP_IN + column * (PANEL_WIDTH_IN + GAP_IN)
        bottom_in = full_in - TITLE_IN - sum(rows_in[: row + 1]) - row * GAP_IN
        place = left_in / width_in, bottom_in / full_in, PANEL_WIDTH_IN / width_in, rows_in[row] / full_in
        axes = figure.add_axes(place, anchor="NW")
        cut = plane.cut(volume, centre)
        draw_picture(
            axes, cut, pixel_mm=plane.pixel_mm(spacing_mm), title=name, edges=plane.edges, window=window
        )
        panels.append((axes, plane))
    figure.text(
        GAP_IN / width_in, 1 - GAP_IN / 2 / full_in, title, va="top",
        color=INK, fontsize=14, weight="bold", parse_math=False,
    )  # fmt: skip
    return figure, panels


def write_figure(
    target: Path, figure: Figure, *, legend: Sequence[Line2D] = (), columns: int = 1, **options: Any
) -> None:
    """Write a PNG atomically, with a legend below; `options` are those of matplotlib's legend."""
    if legend:
        drawn = figure.legend(
            handles=legend, loc="lower center", ncols=columns, frameon=False, labelcolor=INK, **options
        )
        for text in drawn.get_texts():
            text.set_parse_math(False)
    use_installed_fonts(figure)
    with atomic_path(target) as partial:
        FigureCanvasAgg(figure).print_png(partial)
