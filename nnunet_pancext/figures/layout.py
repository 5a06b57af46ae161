"""The sheet of an overlay picture: a title, two by two panels, room for a legend."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnunet_pancext.figures.panel import INK
from nnunet_pancext.figures.planes import AXIAL, CORONAL, SAGITTAL, Plane

BACKGROUND = "#101214"
PIXELS_PER_INCH = 170
PANEL_WIDTH_IN, GAP_IN, TITLE_IN, LEGEND_ROW_IN = 3.4, 0.25, 0.7, 0.22


def four_panels(
    shape: tuple[int, ...], spacing_mm: tuple[float, float, float], *, title: str, legend_rows: int
) -> tuple[Figure, list[Axes]]:
    """A titled figure with panels for two axial pictures above a coronal and a sagittal one.

    `shape` and `spacing_mm` are those of the volume (slice, row, column). A row is as high as its lower
    picture, so that the coronal and the sagittal one end together and have one scale; it is never higher than
    a panel is wide.
    """

    def height_in(plane: Plane) -> float:
        height, width = (shape[axis] * spacing_mm[axis] for axis in range(3) if axis != plane.axis)
        return PANEL_WIDTH_IN * min(1.0, height / width)

    rows_in = [height_in(AXIAL), min(height_in(CORONAL), height_in(SAGITTAL))]
    width_in = 2 * PANEL_WIDTH_IN + 3 * GAP_IN
    full_in = TITLE_IN + sum(rows_in) + GAP_IN + (legend_rows + 1) * LEGEND_ROW_IN
    figure = Figure(figsize=(width_in, full_in), dpi=PIXELS_PER_INCH, facecolor=BACKGROUND)
    panels = []
    top_in = full_in - TITLE_IN
    for row_in in rows_in:
        for column in range(2):
            left_in = GAP_IN + column * (PANEL_WIDTH_IN + GAP_IN)
            place = (
                left_in / width_in,
                (top_in - row_in) / full_in,
                PANEL_WIDTH_IN / width_in,
                row_in / full_in,
            )
            panels.append(figure.add_axes(place, anchor="NW"))
        top_in -= row_in + GAP_IN
    figure.text(
        GAP_IN / width_in,
        1 - GAP_IN / 2 / full_in,
        title,
        color=INK,
        fontsize=14,
        weight="bold",
        va="top",
        parse_math=False,
    )
    return figure, panels
