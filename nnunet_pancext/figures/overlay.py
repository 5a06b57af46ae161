"""One picture of a case: CT slices in three planes with the contours of truth and prediction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from nnunet_pancext.errors import PancextError
from nnunet_pancext.figures.layout import four_panels
from nnunet_pancext.figures.panel import (
    ABDOMEN_HU,
    INK,
    LineStyle,
    brightness_range,
    draw_contour,
    draw_picture,
    draw_scale_bar,
    draw_zoom_frame,
    zoom_box,
)
from nnunet_pancext.figures.planes import AXIAL, CORONAL, SAGITTAL, central_voxel, display_array
from nnunet_pancext.io.files import atomic_path
from nnunet_pancext.io.label_maps import (
    foreground_labels,
    read_label_map,
    read_volume,
    require_same_grid,
)

# One shade per label, in the order of values: red, orange, pink for truth; green, cyan, lime for prediction.
# Shades, not dashes, tell labels apart, because a dashed lesion vanishes on the solid border of its organ.
TRUTH_COLOURS = ("#ff3b3b", "#ffb02e", "#ff8ad8")
PREDICTION_COLOURS = ("#2bdc5a", "#35d0ff", "#d4ff5c")
LINE_STYLES: tuple[LineStyle, ...] = ("solid", "dashed", "dotted")
# Truth is drawn first and wider, so that both lines show where they coincide.
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

    The slices go through the middle of the label of highest value that the truth holds, which is the lesion
    where pancreas is 1 and lesion 2; without a truth or in an empty one, that of the prediction; else through
    the centre of the image. The CT (in HU) is shown in the window 40 / 400, an image that is none from its
    darkest to its brightest hundredth, with patient right on the left and feet down whatever the orientation
    of the files. The label of lowest value is red in the truth and
    green in the prediction, the next one orange and cyan.

    With `by_voxel` label maps are laid onto the image voxel by voxel, wherever their headers place them, and
    there may be none.

    Raises:
        PancextError: a file is missing or unreadable, or the three do not share one grid; or there is neither
            truth nor prediction.
    """
    foreground = foreground_labels(labels)
    values = tuple(foreground.values())
    ct = read_volume(image)
    ct_hu, spacing_mm = display_array(ct)
    predicted = (
        None if prediction is None else read_on_grid(prediction, ct, role="prediction", by_voxel=by_voxel)
    )
    true = None if truth is None else read_on_grid(truth, ct, role="truth", by_voxel=by_voxel)
    shown = predicted if true is None or (predicted is not None and not np.isin(true, values).any()) else true
    if shown is None and by_voxel:
        shown = np.zeros(ct_hu.shape, bool)
    if shown is None:
        raise PancextError(f"There is neither truth nor prediction to draw on {image}. Give one of them.")
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
    texts = figure.legend(
        handles=legend,
        loc="lower center",
        ncols=columns,
        frameon=False,
        labelcolor=INK,
        fontsize=10,
        labelspacing=0.3,
    ).get_texts()
    for text in texts:
        text.set_parse_math(False)
    with atomic_path(target) as partial:
        FigureCanvasAgg(figure).print_png(partial)


def highest_label(label_map: NDArray[np.generic], values: tuple[int, ...]) -> NDArray[np.bool_]:
    """Mask of the highest of the ascending `values` that `label_map` holds; empty where it holds none."""
    for value in reversed(values):
        mask = label_map == value
        if mask.any():
            return mask
    return np.zeros(label_map.shape, dtype=bool)


def read_on_grid(path: Path, ct: sitk.Image, *, role: str, by_voxel: bool = False) -> NDArray[np.generic]:
    """Return a label map (slice, row, column) as displayed.

    With `by_voxel` a label map of the image's size lies on its voxels, whatever its header says.

    Raises:
        PancextError: its grid is another.
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
    """Draw the contour of each label value of both label maps (row, column), those that are there."""
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
    """The line of the label of this place: labels beyond the colours take other strokes."""
    return LINE_STYLES[index // len(TRUTH_COLOURS) % len(LINE_STYLES)]


def legend_lines(
    foreground: dict[str, int],
    *,
    truth: NDArray[np.generic] | None,
    prediction: NDArray[np.generic] | None,
) -> list[Line2D]:
    """Lines that name each label's colours; a label map that is not drawn is None."""
    lines = []
    for index, (label, value) in enumerate(foreground.items()):
        for role, label_map, colours in (
            ("truth", truth, TRUTH_COLOURS),
            ("prediction", prediction, PREDICTION_COLOURS),
        ):
            if label_map is None:
                continue
            line = Line2D([], [], color=colours[index % len(colours)], linestyle=line_style(index))
            line.set_linewidth(2.5)
            line.set_label(f"{label}, {role}" if (label_map == value).any() else f"{label}, {role} (none)")
            lines.append(line)
    return lines
