"""Signed distances against distances worked out by hand."""

import numpy as np
import pytest

from nnunet_pancext.phantom.shapes import (
    Column,
    Ellipsoid,
    Grown,
    HalfSpace,
    Intersection,
    Outside,
    Tube,
    Union,
    Wavy,
)

BALL = Ellipsoid(centre_mm=np.array([1.0, 2.0, 3.0]), radii_mm=(5.0, 5.0, 5.0))
CONE = Tube(points_mm=np.array([[0.0, 0, 0], [10.0, 0, 0]]), radii_mm=np.array([2.0, 4.0]))
POLE = Column(centre_mm=(0.0, 0.0), radii_mm=(3.0, 6.0), exponent=2.0)


def distance(shape, *point):
    coordinates = (np.full((1, 1, 1), value, np.float32) for value in point)
    return float(shape.distance(*coordinates).item())


@pytest.mark.parametrize(
    ("shape", "point", "expected"),
    [
        (BALL, (1, 2, 11), 3.0),
        (BALL, (4, 2, 3), -2.0),
        (CONE, (-5, 0, 0), 3.0),
        (CONE, (5, 7, 0), 4.0),
        (CONE, (10, 0, 1), -3.0),
        (POLE, (5, 0, 100), 2.0),
        (POLE, (0, -5, -100), -1.0),
        (HalfSpace(axis=1, level_mm=4.0), (0, 7, 0), -3.0),
        (HalfSpace(axis=1, level_mm=4.0, below=True), (0, 7, 0), 3.0),
        (Grown(BALL, 2.0), (1, 2, 11), 1.0),
        (Outside(BALL), (4, 2, 3), 2.0),
        (POLE, (0, 0, 100), -6.0),
        (BALL, (1, 2, 3), -5.0),
        (Union((BALL, POLE)), (2, 0, 100), -1.0),
        (Intersection((BALL, HalfSpace(axis=2, level_mm=3.0))), (1, 2, 1), 2.0),
    ],
)
def test_distance_is_the_one_worked_out_by_hand(shape, point, expected):
    assert distance(shape, *point) == pytest.approx(expected, abs=1e-3)


def test_blended_union_fills_the_joint():
    other = Ellipsoid(centre_mm=np.array([9.0, 2.0, 3.0]), radii_mm=(5.0, 5.0, 5.0))
    joint = (5, 6, 3)
    assert distance(Union((BALL, other), 4.0), *joint) == pytest.approx(
        distance(Union((BALL, other)), *joint) - 1.0, abs=1e-3
    )


@pytest.mark.parametrize(
    "shape",
    [
        Ellipsoid(centre_mm=np.array([1.0, 2, 3]), radii_mm=(8.0, 5.0, 9.0), tilt=(0.5, -0.3)),
        CONE,
        Union((BALL, CONE), 3.0),
        Wavy(shape=BALL, amplitude_mm=2.0, wavelength_mm=9.0, phases=np.array([0.1, 2.0, 4.0])),
    ],
)
def test_bounds_hold_all_of_the_shape(shape):
    axis = np.arange(-25, 26, dtype=np.float32)
    inside = shape.distance(axis[None, None, :], axis[None, :, None], axis[:, None, None]) < 0
    z, y, x = (axis[found] for found in np.nonzero(inside))
    low, high = shape.bounds()
    assert (low <= [x.min(), y.min(), z.min()]).all()
    assert (high >= [x.max(), y.max(), z.max()]).all()
