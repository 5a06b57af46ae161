"""The figure of a case: CT slices in three planes with the contours of ground truth and prediction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from nnunet_pancext.errors import PancextError
from nnunet_pancext.figures.layout import four_panels, write_figure
from nnunet_pancext.figures.panel import (
    ABDOMEN_HU,
    LineStyle,
    brightness_range,
    draw_contour,
    draw_picture,
    draw_scale_bar,
    draw_zoom_frame,
    zoom_box,
)
from nnunet_pancext.figures.planes import AXIAL, CORONAL, SAGITTAL, central_voxel, display_array
from nnunet_pancext.io.label_maps import (
    foreground_labels,
    read_label_map,
    read_volume,
    require_same_grid,
)

# One shade per label, in the order of values: ground truth red, orange, pink; prediction green, cyan, lime.
# Not dashes: a dashed lesion vanishes on the solid border of its organ.
TRUTH_COLOURS = ("#ff3b3b", "#ffb02e", "#ff8ad8")
PREDICTION_COLOURS = ("#2bdc5a", "#35d0ff", "#d4ff5c")
LINE_STYLES: tuple[LineStyle, ...] = ("solid", "dashed", "dotted")
# Ground truth is drawn first and wider, so that both lines show where they coincide.
TRUTH_WIDTH, PREDICTION_WIDTH = 2.4, 1.0
LEGEND_COLUMNS = 3

ZOOM_MARGIN_MM, ZOOM_LEAST_MM = 15, 80


def write_overlay(
    target: Path,
    *,
    image: Path,
    truth: Path | None,
    prediction: Path | None,
    labels: dict[str, int],
    title: str,
    is_ct: bool = True,
    by_voxel: bool = False,
) -> None:
    """Write a PNG of four panels, atomically: axial, the same enlarged, coronal and sagittal.

    The slices pass through the centre of the highest label (the lesion where pancreas is 1 and lesion 2) of
    the ground truth, or of the prediction if the ground truth is missing or empty, or of the image. The
    window is 40 / 400 HU for CT, else the 1st to the 99th percentile. Patient right is on the left and feet
    are down, whatever the orientation of the files.

    With `by_voxel` label maps are aligned by voxel index, whatever their headers say, and both may be None.

    Raises:
        PancextError: a file is missing or unreadable, the files do not share one grid, or there is neither
            ground truth nor prediction.
    """
    foreground = foreground_labels(labels)
    values = tuple(foreground.values())
    ct = read_volume(image)
    ct_hu, spacing_mm = display_array(ct)
    predicted = (
        None if prediction is None else read_on_grid(prediction, ct, role="prediction", by_voxel=by_voxel)
    )
    true = None if truth is None else read_on_grid(truth, ct, role="ground truth", by_voxel=by_voxel)
    shown = predicted if true is None or (predicted is not None and not np.isin(true, values).any()) else true
    if shown is None and by_voxel:
        shown = np.zeros(ct_hu.shape, bool)
    if shown is None:
        raise PancextError(f"Neither ground truth nor prediction to draw on {image}. Give one of them.")
    window = ABDOMEN_HU if is_ct else brightness_range(ct_hu)
    centre = central_voxel(highest_label(shown, values))

    legend = legend_lines(foreground, truth=true, prediction=predicted)
    columns = min(len(foreground), LEGEND_COLUMNS)
    figure, panels = four_panels(
        ct_hu.shape, spacing_mm, title=title, legend_rows=math.ceil(len(legend) / columns)
    )
    whole, enlarged, coronal, sagittal = panels
    for axes, plane, name in (
        (whole, AXIAL, "Axial"),
        (enlarged, AXIAL, "Axial, enlarged"),
        (coronal, CORONAL, "Coronal"),
        (sagittal, SAGITTAL, "Sagittal"),
    ):
        pixel_mm = plane.pixel_mm(spacing_mm)
        draw_picture(
            axes, plane.cut(ct_hu, centre), pixel_mm=pixel_mm, title=name, edges=plane.edges, window=window
        )
        draw_labels(
            axes,
            truth=None if true is None else plane.cut(true, centre),
            prediction=None if predicted is None else plane.cut(predicted, centre),
            values=values,
            pixel_mm=pixel_mm,
        )
    box = zoom_box(
        np.isin(AXIAL.cut(shown, centre), values),
        pixel_mm=AXIAL.pixel_mm(spacing_mm),
        margin_mm=ZOOM_MARGIN_MM,
        least_mm=ZOOM_LEAST_MM,
    )
    draw_zoom_frame(whole, box)
    enlarged.set_xlim(box[0], box[1])
    enlarged.set_ylim(box[3], box[2])
    for axes in panels:
        draw_scale_bar(axes)
    write_figure(target, figure, legend=legend, columns=columns, fontsize=10, labelspacing=0.3)


def highest_label(label_map: NDArray[np.generic], values: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the mask of the highest of the ascending `values` in `label_map`; empty if it has none."""
    for value in reversed(values):
        mask = label_map == value
        if mask.any():
            return mask
    return np.zeros(label_map.shape, dtype=bool)


def read_on_grid(path: Path, ct: sitk.Image, *, role: str, by_voxel: bool = False) -> NDArray[np.generic]:
    """Return a label map (slice, row, column) as displayed.

    Raises:
        PancextError: its grid differs from that of `ct`; with `by_voxel`, its size.
    """
    label_map = read_label_map(path)
    if by_voxel and label_map.GetSize() == ct.GetSize():
        label_map.CopyInformation(ct)
    require_same_grid(
        label_map,
        ct,
        what=f"The {role} {path} and the image differ in geometry",
        remedy="Give label maps that were drawn on, or predicted from, this image.",
    )
    return display_array(label_map)[0]


def draw_labels(
    axes: Axes,
    *,
    truth: NDArray[np.generic] | None,
    prediction: NDArray[np.generic] | None,
    values: Sequence[int],
    pixel_mm: tuple[float, float],
) -> None:
    """Draw the contours of each label value in both label maps (row, column), either of which may be None."""
    for label_map, colours, linewidth in (
        (truth, TRUTH_COLOURS, TRUTH_WIDTH),
        (prediction, PREDICTION_COLOURS, PREDICTION_WIDTH),
    ):
        if label_map is None:
            continue
        for index, value in enumerate(values):
            draw_contour(
                axes,
                label_map == value,
                pixel_mm=pixel_mm,
                colour=colours[index % len(colours)],
                linestyle=line_style(index),
                linewidth=linewidth,
            )


def line_style(index: int) -> LineStyle:
    """Return the line style of a label by its position; labels beyond the colours change the style."""
    return LINE_STYLES[index // len(TRUTH_COLOURS) % len(LINE_STYLES)]


def legend_lines(
    foreground: dict[str, int],
    *,
    truth: NDArray[np.generic] | None,
    prediction: NDArray[np.generic] | None,
) -> list[Line2D]:
    """Return legend entries of each label's colours; a label map that is not drawn is None."""
    lines = []
    for index, (label, value) in enumerate(foreground.items()):
        for role, label_map, colours in (
            ("ground truth", truth, TRUTH_COLOURS),
            ("prediction", prediction, PREDICTION_COLOURS),
        ):
            if label_map is None:
                continue
            line = Line2D([], [], color=colours[index % len(colours)], linestyle=line_style(index))
            line.set_linewidth(2.5)
            line.set_label(f"{label}, {role}" if (label_map == value).any() else f"{label}, {role} (none)")
            lines.append(line)
    return lines
