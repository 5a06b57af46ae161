"""The figure of a greyscale image with the contours of its label."""

from collections.abc import Mapping
from itertools import cycle
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nnunet_pancext.errors import PancextError
from nnunet_pancext.figures.fonts import drawable_label
from nnunet_pancext.figures.layout import BACKGROUND, PIXELS_PER_INCH, write_figure
from nnunet_pancext.figures.overlay import TRUTH_COLOURS
from nnunet_pancext.figures.panel import INK, draw_contour
from nnunet_pancext.io.images import read_image

WIDTH_IN, TITLE_IN, LEGEND_IN = 4.0, 0.35, 0.3
MOST_HEIGHT = 2.0  # times the width


def write_slice_overlay(
    target: Path, *, image: Path, label: Path | None, labels: Mapping[str, int], title: str
) -> None:
    """Write a PNG of a 2D image as stored, over its full range of values, with the contours of its label.

    Files that are not greyscale images of one size are refused.
    """
    picture = _read(image)
    mask = None if label is None else _read(label)
    if mask is not None and picture.shape != mask.shape:
        raise PancextError(
            f"{label} has {mask.shape[::-1]} pixels, {image} has {picture.shape[::-1]}. "
            "Give a label drawn on it."
        )
    height, width = picture.shape
    height_in = WIDTH_IN * min(MOST_HEIGHT, height / width)
    full_in = TITLE_IN + height_in + LEGEND_IN
    figure = Figure(figsize=(WIDTH_IN, full_in), dpi=PIXELS_PER_INCH, facecolor=BACKGROUND)
    axes = figure.add_axes((0.02, LEGEND_IN / full_in, 0.96, height_in / full_in))
    axes.imshow(picture, cmap="gray", extent=(0, width, height, 0), aspect="equal", interpolation="nearest")
    axes.autoscale(False)
    axes.set_axis_off()
    axes.set_title(title, color=INK, fontsize=9, loc="left", pad=4, parse_math=False)
    lines = []
    masks = {} if mask is None else {drawable_label(*label): mask == label[1] for label in labels.items()}
    for (name, shown), colour in zip(masks.items(), cycle(TRUTH_COLOURS), strict=False):
        draw_contour(axes, shown, pixel_mm=(1, 1), color=colour, linestyle="solid", linewidth=1.6)
        lines.append(Line2D([], [], color=colour, label=name if shown.any() else f"{name} (none)"))
    write_figure(target, figure, legend=lines, columns=3, fontsize=8)


def _read(path: Path) -> np.ndarray:
    try:
        image = read_image(path)
    except RuntimeError as error:
        raise PancextError(f"Cannot read {path}. Write or copy it again.") from error
    if image.GetDimension() != 2 or image.GetNumberOfComponentsPerPixel() != 1:
        raise PancextError(
            f"{path} has {image.GetDimension()} axes and {image.GetNumberOfComponentsPerPixel()} values per "
            "pixel, which is not a greyscale image. Convert it."
        )
    return sitk.GetArrayFromImage(image)
