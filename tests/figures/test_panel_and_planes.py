import numpy as np
import pytest
import SimpleITK as sitk
from matplotlib.figure import Figure

from nnunet_pancext.attention.heatmap import highest_voxel
from nnunet_pancext.figures.panel import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    Plane,
    central_voxel,
    draw_contour,
    draw_picture,
    draw_scale_bar,
    zoom_box,
)


def test_central_voxel_of_a_curved_shape_lies_on_it() -> None:
    ring = np.ones((1, 5, 5), dtype=bool)
    ring[0, 1:4, 1:4] = False
    assert ring[central_voxel(ring)]


def test_central_voxel_without_a_mask_is_the_middle() -> None:
    assert central_voxel(np.zeros((4, 6, 9), dtype=bool)) == (2, 3, 4)


@pytest.mark.parametrize(
    ("plane", "shape", "pixel_mm"),
    [(AXIAL, (3, 4), (2.0, 1.0)), (CORONAL, (2, 4), (5.0, 1.0)), (SAGITTAL, (2, 3), (5.0, 2.0))],
)
def test_planes_cut_across_their_axis(plane: Plane, shape: tuple, pixel_mm: tuple) -> None:
    assert plane.cut(np.zeros((2, 3, 4)), (0, 0, 0)).shape == shape
    assert plane.pixel_mm((5.0, 2.0, 1.0)) == pixel_mm


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [
        # 40 mm + two margins of 10 mm are 60 of 200 mm; the height follows the proportions.
        (slice(45, 55), slice(80, 120), (70, 130, 35, 65)),
        # At the border the box moves inwards.
        (slice(0, 10), slice(0, 40), (0, 60, 0, 30)),
        # A tiny mask is not enlarged beyond the least width.
        (slice(50, 50), slice(0, 0), (75, 125, 37.5, 62.5)),
    ],
    ids=["margins", "border", "empty"],
)
def test_zoom_box(rows: slice, columns: slice, expected: tuple[float, ...]) -> None:
    mask = np.zeros((100, 200), dtype=bool)
    mask[rows, columns] = True
    box = zoom_box(mask, pixel_mm=(1.0, 1.0), margin_mm=10, least_mm=50)
    assert box == pytest.approx(expected)


def test_a_contour_at_the_border_leaves_the_picture_where_it_is() -> None:
    axes = Figure().add_subplot()
    mask = np.ones((20, 30), dtype=bool)
    draw_picture(axes, np.zeros((20, 30)), pixel_mm=(3.0, 2.0), title="", edges="RLAP")
    draw_contour(axes, mask, pixel_mm=(3.0, 2.0), color="red", linestyle="solid", linewidth=1)
    draw_scale_bar(axes, sitk.Image(2, 2, 2, sitk.sitkUInt8))
    assert axes.get_xlim() == (0, 60)
    assert axes.get_ylim() == (60, 0)


def test_a_single_pixel_keeps_a_contour_around_its_centre() -> None:
    axes = Figure().add_subplot()
    mask = np.zeros((9, 9), dtype=bool)
    mask[4, 6] = True
    draw_contour(axes, mask, pixel_mm=(2.0, 1.0), color="red", linestyle="solid", linewidth=1)
    (outline,) = axes.collections[0].get_paths()
    corners = outline.vertices
    assert (corners.min(axis=0) + corners.max(axis=0)) / 2 == pytest.approx([6.5, 9.0])


def test_slices_of_a_map_go_through_its_highest_value_in_the_body():
    values = np.array([[[0.9, 0.1, 0.6, 0.6, 0.6]]])
    body = np.array([[[False, True, True, True, True]]])
    assert highest_voxel(values, body) == (0, 0, 3)
    assert highest_voxel(values, np.zeros_like(body)) == (0, 0, 0)
