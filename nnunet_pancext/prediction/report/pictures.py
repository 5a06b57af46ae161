"""Pictures of a predicted case: its planes through one voxel, with the contours of its labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import ndimage

from nnunet_pancext.figures.layout import BACKGROUND, write_figure
from nnunet_pancext.figures.overlay import PREDICTION, line_style
from nnunet_pancext.figures.panel import (
    ABDOMEN_HU,
    DISPLAY_ORIENTATION,
    Plane,
    bounding_box,
    brightness_range,
    central_voxel,
    display_array,
    draw_contour,
    draw_picture,
    draw_scale_bar,
    planes_of,
)
from nnunet_pancext.io.label_maps import is_flat, read_label_map, read_volume, require_same_grid
from nnunet_pancext.prediction.measures import count_values

PIXELS_PER_INCH = 120
WIDTH_IN, MOST_HEIGHT_IN, GAP_IN, TITLE_IN = 9.0, 4.2, 0.12, 0.28
LINE_WIDTH = 1.3
MARGIN_MM, LEAST_FIELD_MM = 15, 80

Voxel = tuple[int, int, int]
Field = tuple[tuple[float, float], ...]
"""First and last millimetre along slice, row and column."""
Labels = Mapping[str, Sequence[int]]
"""Values of each label or region by name."""


@dataclass(frozen=True, kw_only=True)
class DisplayedCase:
    """An image and its predicted label map (slice, row, column), turned as they are displayed.

    `stored` is the label map as in its file, `turned` as displayed; `counts` are its voxels by value.
    """

    image: sitk.Image
    stored: sitk.Image
    turned: sitk.Image
    voxels: NDArray[np.generic]
    label_map: NDArray[np.generic]
    spacing_mm: tuple[float, float, float]
    window: tuple[float, float]
    counts: NDArray[np.intp]

    @property
    def planes(self) -> tuple[Plane, ...]:
        return planes_of(self.image, self.voxels.shape)

    @property
    def whole(self) -> Field:
        """The field of the whole image."""
        sides_mm = zip(self.voxels.shape, self.spacing_mm, strict=True)
        return tuple((0.0, count * step_mm) for count, step_mm in sides_mm)

    def count(self, values: Sequence[int]) -> int:
        """Return how many voxels have one of the values."""
        return sum(int(self.counts[value]) for value in values if value < len(self.counts))

    def displayed(self, voxel: Sequence[int]) -> Voxel:
        """Return where a voxel (slice, row, column) of the file's array is displayed."""
        place_mm = self.stored.TransformIndexToPhysicalPoint([int(index) for index in reversed(voxel)])
        column, row, slice_ = self.turned.TransformPhysicalPointToIndex(place_mm)
        return slice_, row, column


def read_case(image: Path | sitk.Image, label_map: Path, *, is_ct: bool) -> DisplayedCase:
    """Read an image and its label map; PancextError if one is missing or unreadable, or the grids differ."""
    volume = read_volume(image) if isinstance(image, Path) else image
    stored = read_label_map(label_map)
    require_same_grid(
        stored,
        volume,
        what=f"The label map {label_map} and the image differ in geometry",
        remedy="Give the image that it was predicted from.",
    )
    labels, _ = display_array(stored)
    voxels, spacing_mm = display_array(volume)
    return DisplayedCase(
        image=volume,
        stored=stored,
        turned=stored if is_flat(stored) else sitk.DICOMOrient(stored, DISPLAY_ORIENTATION),
        voxels=voxels,
        label_map=labels,
        spacing_mm=spacing_mm,
        window=ABDOMEN_HU if is_ct else brightness_range(voxels),
        counts=count_values(labels, highest=int(labels.max())),
    )


def largest_structure(case: DisplayedCase, labels: Labels) -> tuple[str, Voxel]:
    """Return the label with most voxels, and its voxel nearest to its centre.

    Of an empty label map it is no label, and the centre of the image.
    """
    largest = max(labels, key=lambda name: case.count(labels[name]))
    mask = np.isin(case.label_map, labels[largest])
    box = ndimage.find_objects(mask.view(np.uint8), max_label=1)[0]
    if box is None:
        return "", central_voxel(mask)
    inside = zip(central_voxel(mask[box]), box, strict=True)
    first, second, third = (index + part.start for index, part in inside)
    return largest, (first, second, third)


def field_around(case: DisplayedCase, voxel: Voxel, values: Sequence[int]) -> Field:
    """Return a cube around what the component at `voxel` shows in its planes, with a margin, in the image."""
    low, high = list(voxel), [index + 1 for index in voxel]
    for plane in case.planes:
        mask = np.isin(plane.cut(case.label_map, voxel), values)
        place = plane.sides(voxel)
        components, _ = ndimage.label(mask, structure=np.ones((3, 3), dtype=int))
        box = bounding_box(components == components[place]) if mask[place] else None
        if box is None:
            continue
        down, across = plane.sides((0, 1, 2))
        low[down], high[down] = min(low[down], box[0]), max(high[down], box[1])
        low[across], high[across] = min(low[across], box[2]), max(high[across], box[3])
    step_mm = np.array(case.spacing_mm)
    first_mm, last_mm = np.array(low) * step_mm, np.array(high) * step_mm
    side_mm = max(float((last_mm - first_mm).max()) + 2 * MARGIN_MM, LEAST_FIELD_MM)
    size_mm = np.array(case.voxels.shape) * step_mm
    sides_mm = np.minimum(side_mm, size_mm)
    start_mm = np.clip((first_mm + last_mm - sides_mm) / 2, 0, size_mm - sides_mm)
    return tuple(zip(start_mm.tolist(), (start_mm + sides_mm).tolist(), strict=True))


def write_planes(target: Path, case: DisplayedCase, *, voxel: Voxel, field: Field, labels: Labels) -> None:
    """Write a PNG of the planes through `voxel` side by side, atomically, with the contours of all labels.

    All are of one scale and show the `field`. Patient right is on the left and feet are down, whatever the
    orientation of the files.
    """
    planes = case.planes
    lengths_mm = [stop - start for start, stop in field]
    heights_mm, widths_mm = zip(*(plane.sides(lengths_mm) for plane in planes), strict=True)
    room_in = WIDTH_IN - GAP_IN * (len(planes) + 1)
    inches_per_mm = min(room_in / sum(widths_mm), MOST_HEIGHT_IN / max(heights_mm))
    width_in = sum(widths_mm) * inches_per_mm + GAP_IN * (len(planes) + 1)
    full_in = TITLE_IN + max(heights_mm) * inches_per_mm + GAP_IN
    figure = Figure(figsize=(width_in, full_in), dpi=PIXELS_PER_INCH, facecolor=BACKGROUND)
    left_in = GAP_IN
    for plane, height_mm, width_mm in zip(planes, heights_mm, widths_mm, strict=True):
        size_in = width_mm * inches_per_mm, height_mm * inches_per_mm
        bottom_in = full_in - TITLE_IN - size_in[1]
        axes = figure.add_axes(
            (left_in / width_in, bottom_in / full_in, size_in[0] / width_in, size_in[1] / full_in)
        )
        pixel_mm = plane.pixel_mm(case.spacing_mm)
        draw_picture(
            axes,
            plane.cut(case.voxels, voxel),
            pixel_mm=pixel_mm,
            title=plane.name,
            edges=plane.edges,
            window=case.window,
        )
        cut = plane.cut(case.label_map, voxel)
        present = set(np.unique(cut).tolist())
        for index, values in enumerate(labels.values()):
            if present.isdisjoint(values):
                continue  # most of a hundred labels
            style = line_style(PREDICTION, index)
            draw_contour(axes, np.isin(cut, values), pixel_mm=pixel_mm, linewidth=LINE_WIDTH, **style)
        (top, bottom), (left, right) = plane.sides(field)
        axes.set_xlim(left, right)
        axes.set_ylim(bottom, top)
        draw_scale_bar(axes, case.image)
        left_in += size_in[0] + GAP_IN
    write_figure(target, figure)
