"""The figure of a case: slices in three planes with the contours of ground truth and prediction."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from nnunet_pancext.errors import PancextError
from nnunet_pancext.figures.fonts import drawable_label
from nnunet_pancext.figures.layout import sheet_of_panels, write_figure
from nnunet_pancext.figures.panel import (
    ABDOMEN_HU,
    LineStyle,
    Plane,
    brightness_range,
    central_voxel,
    display_array,
    draw_contour,
    draw_scale_bar,
    draw_zoom_frame,
    planes_of,
    zoom_box,
)
from nnunet_pancext.io.label_maps import foreground_labels, read_label_map, read_volume, require_same_grid

# One shade per label, in the order of values: ground truth red, orange, pink; prediction green, cyan, lime.
# Not dashes: a dashed lesion vanishes on the solid border of its organ.
TRUTH_COLOURS = ("#ff3b3b", "#ffb02e", "#ff8ad8")
TRUTH, PREDICTION = "ground truth", "prediction"
COLOURS = {TRUTH: TRUTH_COLOURS, PREDICTION: ("#2bdc5a", "#35d0ff", "#d4ff5c")}
# Ground truth is drawn first and wider, so that both lines show where they coincide.
WIDTHS = {TRUTH: 2.4, PREDICTION: 1.0}
LINE_STYLES: tuple[LineStyle, ...] = ("solid", "dashed", "dotted")  # beyond the colours the style changes
LEGEND_COLUMNS = 3
ZOOM_MARGIN_MM, ZOOM_LEAST_MM = 15, 80


def write_overlay(
    target: Path,
    *,
    image: Path | sitk.Image,
    truth: Path | sitk.Image | None,
    prediction: Path | None,
    labels: dict[str, int],
    title: str,
    is_ct: bool = True,
    by_voxel: bool = False,
) -> None:
    """Write a PNG of four panels, atomically: axial, the same enlarged, coronal and sagittal.

    Of a single slice there are only the first two.

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
    ct = read_volume(image) if isinstance(image, Path) else image
    ct_hu, spacing_mm = display_array(ct)
    label_maps = {
        role: read_on_grid(path, ct, role=role, by_voxel=by_voxel)
        for role, path in ((TRUTH, truth), (PREDICTION, prediction))
        if path is not None
    }
    if not label_maps and not by_voxel:
        raise PancextError(f"Neither ground truth nor prediction to draw on {image}. Give one of them.")
    none = np.zeros(ct_hu.shape, bool)
    labelled = next((array for array in label_maps.values() if np.isin(array, values).any()), none)
    centre = central_voxel(highest_label(labelled, values))
    legend = legend_lines(foreground, label_maps)
    columns = min(len(foreground), LEGEND_COLUMNS)
    planes = planes_of(ct, ct_hu.shape)
    figure, panels = sheet_of_panels(
        ct_hu,
        spacing_mm,
        centre,
        planes=planes,
        second="enlarged",
        title=title,
        window=ABDOMEN_HU if is_ct else brightness_range(ct_hu),
        legend_rows=math.ceil(len(legend) / columns),
    )
    for axes, plane in panels:
        draw_labels(axes, plane, label_maps, values=values, centre=centre, spacing_mm=spacing_mm)
    box = zoom_box(
        np.isin(planes[0].cut(labelled, centre), values),
        pixel_mm=planes[0].pixel_mm(spacing_mm),
        margin_mm=ZOOM_MARGIN_MM,
        least_mm=ZOOM_LEAST_MM,
    )
    (whole, _), (enlarged, _), *_ = panels
    draw_zoom_frame(whole, box)
    enlarged.set_xlim(box[0], box[1])
    enlarged.set_ylim(box[3], box[2])
    for axes, _ in panels:
        draw_scale_bar(axes, ct)
    write_figure(target, figure, legend=legend, columns=columns, fontsize=10, labelspacing=0.3)


def highest_label(label_map: NDArray[np.generic], values: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the mask of the highest of the ascending `values` in `label_map`; empty if it has none."""
    masks = (label_map == value for value in reversed(values))
    return next((mask for mask in masks if mask.any()), np.zeros(label_map.shape, dtype=bool))


def read_on_grid(
    path: Path | sitk.Image, ct: sitk.Image, *, role: str, by_voxel: bool = False
) -> NDArray[np.generic]:
    """Return a label map (slice, row, column) as displayed; refuse another grid (`by_voxel`: size)."""
    label_map = read_label_map(path) if isinstance(path, Path) else path
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
    plane: Plane,
    label_maps: Mapping[str, NDArray[np.generic]],
    *,
    values: Sequence[int],
    centre: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
) -> None:
    """Draw the contours of each label value in the slice of each label map, by role."""
    for role, label_map in label_maps.items():
        cut = plane.cut(label_map, centre)
        for index, value in enumerate(values):
            draw_contour(
                axes,
                cut == value,
                pixel_mm=plane.pixel_mm(spacing_mm),
                linewidth=WIDTHS[role],
                **line_style(role, index),
            )


def legend_lines(foreground: dict[str, int], label_maps: Mapping[str, NDArray[np.generic]]) -> list[Line2D]:
    """Return a legend entry for each label and role."""
    lines = []
    for index, (label, value) in enumerate(foreground.items()):
        name = drawable_label(label, value)
        for role, label_map in label_maps.items():
            suffix = "" if (label_map == value).any() else " (none)"
            line = Line2D([], [], linewidth=2.5, label=f"{name}, {role}{suffix}", **line_style(role, index))
            lines.append(line)
    return lines


def line_style(role: str, index: int) -> dict[str, Any]:
    """Return colour and style of the contour of label number `index`, as matplotlib takes them."""
    colours = COLOURS[role]
    style = LINE_STYLES[index // len(colours) % len(LINE_STYLES)]
    return {"color": colours[index % len(colours)], "linestyle": style}
