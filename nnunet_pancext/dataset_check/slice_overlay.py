"""The figure of a 2D image with the contours of its label."""

from collections.abc import Mapping, Sequence
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

WIDTH_IN, TITLE_IN, LEGEND_IN = 4.0, 0.35, 0.3
MOST_HEIGHT = 2.0  # times the width


def write_slice_overlay(
    target: Path,
    *,
    image: Sequence[sitk.Image],
    label: sitk.Image | None,
    labels: Mapping[str, int],
    title: str,
) -> None:
    """Write a PNG of a 2D image as stored, over its full range of values, with the contours of its label.

    `image` are the channels: three or four are drawn as colours, of others the first alone. A label of
    another size is refused.
    """
    colours = [_pixels(channel) for channel in (image[:3] if len(image) in (3, 4) else image[:1])]
    mask = None if label is None else _pixels(label)
    if mask is not None and colours[0].shape != mask.shape:
        raise PancextError(
            f"The label has {mask.shape[::-1]} pixels, the image {colours[0].shape[::-1]}. "
            "Give a label drawn on it."
        )
    height, width = colours[0].shape
    picture = _in_unit_range(np.stack(colours, axis=-1)) if len(colours) == 3 else colours[0]
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


def _pixels(image: sitk.Image) -> np.ndarray:
    if image.GetDimension() != 2:
        raise PancextError(f"An image of {image.GetDimension()} axes is no slice. Give one of two.")
    return sitk.GetArrayFromImage(image)


def _in_unit_range(picture: np.ndarray) -> np.ndarray:
    lowest, highest = float(picture.min()), float(picture.max())
    return (picture - lowest) / max(highest - lowest, 1e-6)
