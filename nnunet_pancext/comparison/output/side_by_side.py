"""The figure of a case in three planes with the contours of several predictions, a row for each."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nnunet_pancext.figures.layout import BACKGROUND, PIXELS_PER_INCH, write_figure
from nnunet_pancext.figures.overlay import (
    PREDICTION,
    TRUTH,
    ZOOM_LEAST_MM,
    ZOOM_MARGIN_MM,
    draw_labels,
    highest_label,
    legend_lines,
    read_on_grid,
)
from nnunet_pancext.figures.panel import (
    ABDOMEN_HU,
    INK,
    Plane,
    brightness_range,
    central_voxel,
    display_array,
    draw_picture,
    draw_scale_bar,
    planes_of,
)
from nnunet_pancext.io.label_maps import foreground_labels, read_volume

WIDTH_IN, MOST_ROW_IN = 7.6, 2.6
GAP_IN, TITLE_IN, LEGEND_IN, LEGEND_ROW_IN = 0.1, 0.42, 0.15, 0.18
LEGEND_COLUMNS = 4


def write_side_by_side(
    target: Path,
    *,
    image: Path,
    truth: Path,
    predictions: Mapping[str, Path],
    labels: Mapping[str, int],
    is_ct: bool = True,
) -> None:
    """Write a PNG of the planes through the highest true label, a row for each prediction.

    Every row shows the same region, around ground truth and predictions, at one scale, in the colours of
    `write_overlay`. All files must be on the image's grid.
    """
    foreground = foreground_labels(dict(labels))
    values = tuple(foreground.values())
    volume = read_volume(image)
    grey, spacing_mm = display_array(volume)
    true = read_on_grid(truth, volume, role=TRUTH)
    predicted = {name: read_on_grid(path, volume, role=PREDICTION) for name, path in predictions.items()}
    label_maps = [true, *predicted.values()]
    labelled = next((array for array in label_maps if np.isin(array, values).any()), true)
    centre = central_voxel(highest_label(labelled, values))
    planes = planes_of(volume, grey.shape)
    part_mm = _part_mm(label_maps, values, planes=planes, centre=centre, spacing_mm=spacing_mm)
    window = ABDOMEN_HU if is_ct else brightness_range(grey)
    legend = legend_lines(foreground, {TRUTH: true, PREDICTION: np.stack(label_maps[1:])})
    lengths_mm = [end - start for start, end in part_mm]
    figure, rows = _rows(planes, lengths_mm, number=len(predicted), legend_entries=len(legend))
    for panels, (name, prediction) in zip(rows, predicted.items(), strict=True):
        for axes, plane in zip(panels, planes, strict=True):
            cut, pixel_mm = plane.cut(grey, centre), plane.pixel_mm(spacing_mm)
            draw_picture(axes, cut, pixel_mm=pixel_mm, title="", edges=plane.edges, window=window)
            # The name may be wider than its panel: it has a line of its own.
            title = f"{name}\n{plane.name}" if plane is planes[0] else plane.name
            axes.set_title(title, color=INK, fontsize=8, loc="left", pad=3, parse_math=False)
            both = {TRUTH: true, PREDICTION: prediction}
            draw_labels(axes, plane, both, values=values, centre=centre, spacing_mm=spacing_mm)
            down, across = plane.sides(part_mm)
            axes.set_xlim(*across)
            axes.set_ylim(*reversed(down))
            draw_scale_bar(axes, volume)
    write_figure(target, figure, legend=legend, columns=LEGEND_COLUMNS, fontsize=7)


def _part_mm(
    label_maps: Sequence[NDArray[np.generic]],
    values: Sequence[int],
    *,
    planes: Sequence[Plane],
    centre: tuple[int, int, int],
    spacing_mm: Sequence[float],
) -> list[tuple[float, float]]:
    """Return start and end along (slice, row, column) of the labels in the planes, with a margin.

    Each side is at least `ZOOM_LEAST_MM`, or that of the volume if shorter.
    """
    shape: tuple[int, ...] = label_maps[0].shape
    labelled = np.zeros(shape, bool)
    for plane in planes:
        cut = tuple(centre[axis] if axis == plane.axis else slice(None) for axis in range(3))
        for label_map in label_maps:
            labelled[cut] |= np.isin(label_map[cut], values)
    part = []
    for axis, (count, size_mm) in enumerate(zip(shape, spacing_mm, strict=True)):
        places = np.flatnonzero(labelled.any(axis=tuple(other for other in range(3) if other != axis)))
        first, last = (places[0], places[-1] + 1) if len(places) else (count / 2, count / 2)
        whole_mm = count * size_mm
        length_mm = min(whole_mm, max(ZOOM_LEAST_MM, (last - first) * size_mm + 2 * ZOOM_MARGIN_MM))
        start_mm = min(max(0.0, ((first + last) * size_mm - length_mm) / 2), whole_mm - length_mm)
        part.append((float(start_mm), float(start_mm + length_mm)))
    return part


def _rows(
    planes: Sequence[Plane], lengths_mm: Sequence[float], *, number: int, legend_entries: int
) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure with rows of a panel for each plane, at one scale.

    `lengths_mm` are those of the displayed region, along (slice, row, column).
    """
    sizes_mm = [plane.sides(lengths_mm) for plane in planes]
    heights_mm, widths_mm = zip(*sizes_mm, strict=True)
    inner_in = WIDTH_IN - (len(planes) + 1) * GAP_IN
    inches = min(inner_in / sum(widths_mm), MOST_ROW_IN / max(heights_mm))  # per mm
    row_in = TITLE_IN + max(heights_mm) * inches
    legend_in = LEGEND_IN + LEGEND_ROW_IN * -(-legend_entries // LEGEND_COLUMNS)
    height_in = number * row_in + GAP_IN + legend_in
    figure = Figure(figsize=(WIDTH_IN, height_in), dpi=PIXELS_PER_INCH, facecolor=BACKGROUND)
    rows = []
    for row in range(number):
        top_in = height_in - row * row_in - TITLE_IN
        left_in = (WIDTH_IN - sum(widths_mm) * inches - (len(planes) - 1) * GAP_IN) / 2
        panels = []
        for width_mm, high_mm in zip(widths_mm, heights_mm, strict=True):
            width_in, high_in = width_mm * inches, high_mm * inches
            place = (left_in / WIDTH_IN, (top_in - high_in) / height_in)
            panels.append(figure.add_axes((*place, width_in / WIDTH_IN, high_in / height_in)))
            left_in += width_in + GAP_IN
        rows.append(panels)
    return figure, rows
