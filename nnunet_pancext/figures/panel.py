"""Axial, coronal and sagittal slices of a volume: cutting and drawing them, with contours and a scale bar."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import numpy as np
import SimpleITK as sitk
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from nnunet_pancext.io.label_maps import has_spacing, is_flat

# Columns run to the left, rows to the back, slices to the feet: drawn as stored, every plane follows the
# radiological convention (patient right on the left, feet down).
DISPLAY_ORIENTATION = "LPI"
INK = "#e8eaed"
HALO = [withStroke(linewidth=2, foreground="#101214")]
ABDOMEN_HU = (-160.0, 240.0)  # window of level 40 and width 400
# Masks are refined by this factor and blurred by this part of a voxel before contouring:
# enough to smooth the voxel steps, too little to lose a structure of one voxel.
CONTOUR_REFINEMENT = 6
CONTOUR_BLUR_VOXELS = 0.4

SCALE_BARS_MM = (1, 2, 5, 10, 20, 50)

T = TypeVar("T")
LineStyle = Literal["solid", "dashed", "dotted"]
Box = tuple[float, float, float, float]
"""Left, right, top and bottom in mm from the top left corner of the slice."""


@dataclass(frozen=True, kw_only=True)
class Plane:
    """A slice of an array (slice, row, column) perpendicular to `axis`.

    `edges` are the directions at its left, right, top and bottom.
    """

    name: str
    axis: int
    edges: str

    def cut(self, volume: NDArray[np.generic], centre: tuple[int, int, int]) -> NDArray[np.generic]:
        """Return the slice (row, column) through the voxel `centre`."""
        return np.moveaxis(volume, self.axis, 0)[centre[self.axis]]

    def sides(self, along: Sequence[T]) -> tuple[T, T]:
        """Return of what is given along (slice, row, column) that down and that across the plane."""
        down, across = (along[axis] for axis in range(3) if axis != self.axis)
        return down, across

    def pixel_mm(self, spacing_mm: tuple[float, float, float]) -> tuple[float, float]:
        """Return height and width of a pixel, from the spacing along (slice, row, column)."""
        return self.sides(spacing_mm)


AXIAL = Plane(name="Axial", axis=0, edges="RLAP")
CORONAL = Plane(name="Coronal", axis=1, edges="RLSI")
SAGITTAL = Plane(name="Sagittal", axis=2, edges="APSI")
PLANES = (AXIAL, CORONAL, SAGITTAL)
SLICE = Plane(name="Slice", axis=0, edges="")  # of a file without a third dimension, drawn as stored


def display_array(image: sitk.Image) -> tuple[NDArray[np.generic], tuple[float, float, float]]:
    """Return the array (slice, row, column) of `image` as displayed, and its spacing in mm."""
    oriented = image if is_flat(image) else sitk.DICOMOrient(image, DISPLAY_ORIENTATION)
    across, down, along = oriented.GetSpacing()
    return sitk.GetArrayFromImage(oriented), (along, down, across)


def planes_of(image: sitk.Image, shape: tuple[int, ...]) -> tuple[Plane, ...]:
    """Return the planes to draw of an image displayed as an array of `shape`: three, or that of one slice."""
    if is_flat(image):
        return (SLICE,)
    single = tuple(plane for plane in PLANES if shape[plane.axis] == 1)
    planes = single if len(single) == 1 else PLANES
    return planes if has_spacing(image) else tuple(replace(plane, edges="") for plane in planes)


def central_voxel(mask: NDArray[np.bool_]) -> tuple[int, int, int]:
    """Return the voxel of `mask` nearest to its centre of mass, or the centre of the array if it is empty.

    The centre of mass itself may be outside a curved organ.
    """
    voxels = np.argwhere(mask)
    if len(voxels) == 0:
        voxels = np.array([mask.shape]) // 2
    nearest = np.square(voxels - voxels.mean(axis=0)).sum(axis=1).argmin()
    first, second, third = voxels[nearest].tolist()
    return first, second, third


def draw_picture(
    axes: Axes,
    picture_hu: NDArray[np.generic],
    *,
    pixel_mm: tuple[float, float],
    title: str,
    edges: str,
    window: tuple[float, float] = ABDOMEN_HU,
) -> None:
    """Draw a CT slice (row, column) in mm, with any directions at its edges; `window` is black and white."""
    height_mm, width_mm = (count * size for count, size in zip(picture_hu.shape, pixel_mm, strict=True))
    image = axes.imshow(picture_hu, "gray", vmin=window[0], vmax=window[1], interpolation="bicubic")
    image.set_extent((0, width_mm, height_mm, 0))
    axes.autoscale(False)
    axes.set_axis_off()
    axes.set_title(title, color=INK, fontsize=10, loc="left", pad=4)
    places = (
        (0.015, 0.5, "left", "center"),
        (0.985, 0.5, "right", "center"),
        (0.5, 0.985, "center", "top"),
        (0.5, 0.015, "center", "bottom"),
    )
    style: dict[str, Any] = {"color": INK, "fontsize": 9, "path_effects": HALO, "transform": axes.transAxes}
    for letter, (x, y, horizontal, vertical) in zip(edges, places, strict=False):
        axes.text(x, y, letter, ha=horizontal, va=vertical, **style)


def brightness_range(volume: NDArray[np.generic]) -> tuple[float, float]:
    """Return the window of an image whose values have no unit: its 1st and 99th percentile."""
    finite = volume[np.isfinite(volume)]
    low, high = np.percentile(finite, (1, 99)).tolist() if finite.size else (0.0, 1.0)
    return low, max(high, low + 1e-6)


def draw_contour(
    axes: Axes,
    mask: NDArray[np.bool_],
    *,
    pixel_mm: tuple[float, float],
    color: str,
    linestyle: LineStyle,
    linewidth: float,
) -> None:
    """Draw the outline of a mask (row, column) on a slice of the same size; nothing if it is empty."""
    box = bounding_box(mask)
    if box is None:
        return
    top, bottom, left, right = box
    part = np.pad(mask[top:bottom, left:right], 2).astype(np.float32)
    fine = part.repeat(CONTOUR_REFINEMENT, axis=0).repeat(CONTOUR_REFINEMENT, axis=1)
    fine = gaussian_filter(fine, CONTOUR_BLUR_VOXELS * CONTOUR_REFINEMENT)
    rows, columns = ((np.arange(count) + 0.5) / CONTOUR_REFINEMENT - 2 for count in fine.shape)
    x, y = (left + columns) * pixel_mm[1], (top + rows) * pixel_mm[0]
    axes.contour(x, y, fine, [0.5], colors=[color], linestyles=[linestyle], linewidths=[linewidth])


def bounding_box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    """Return first row, row past the last, first column, column past the last of a mask; None if empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return None
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def zoom_box(
    mask: NDArray[np.bool_], *, pixel_mm: tuple[float, float], margin_mm: float, least_mm: float
) -> Box:
    """Return the region around `mask` (row, column), with a margin, in the proportions of the slice.

    It is within the slice, and its longer side is at least `least_mm`, or that of the slice if shorter. For
    an empty mask it is in the centre.
    """
    size = np.array(mask.shape) * pixel_mm
    box = bounding_box(mask)
    ends = np.array([box[0::2], box[1::2]]) * pixel_mm if box else np.array([size, size]) / 2
    low, high = ends
    fraction = min(1.0, max(float(((high - low + 2 * margin_mm) / size).max()), least_mm / float(size.max())))
    start = np.clip((low + high - fraction * size) / 2, 0, (1 - fraction) * size)
    (top, left), (bottom, right) = start.tolist(), (start + fraction * size).tolist()
    return left, right, top, bottom


def draw_zoom_frame(axes: Axes, box: Box) -> None:
    """Mark the enlarged region on the whole slice."""
    left, right, top, bottom = box
    frame = Rectangle((left, top), right - left, bottom - top, fill=False)
    frame.set(edgecolor=INK, linewidth=0.7, alpha=0.6)
    axes.add_patch(frame)


def draw_scale_bar(axes: Axes, image: sitk.Image) -> None:
    """Draw a bar of a round length in the bottom left corner, if the image has a spacing."""
    if not has_spacing(image):
        return
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    length_mm = max((length for length in SCALE_BARS_MM if length <= (right - left) / 4), default=1)
    x, y = left + 0.03 * (right - left), bottom + 0.03 * (top - bottom)
    axes.plot([x, x + length_mm], [y, y], color=INK, linewidth=2, solid_capstyle="butt", path_effects=HALO)
    axes.text(
        x + length_mm / 2, y + 0.012 * (top - bottom), f"{length_mm / 10:g} cm", ha="center", va="bottom",
        color=INK, fontsize=8, path_effects=HALO,
    )  # fmt: skip
