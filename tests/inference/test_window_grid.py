"""The grid of windows, against nnU-Net's own and numbers worked out by hand."""

import numpy as np
import pytest
from contracts.loaded_folds import Threshold, folds_of

from nnunet_pancext.inference.windows import (
    Grid,
    bounding_box,
    common,
    count_windows,
    grown,
    make_grid,
    shifted,
    stock_grid,
)

# 20 slices of 8 in steps of 4; 10 rows of 10; 23 columns of 10: the last step begins at 13
GRID = make_grid((20, 10, 23), patch=(8, 10, 10), step=0.5)


def box(*ends):
    return tuple(slice(start, stop) for start, stop in ends)


def test_windows_start_where_nnunet_puts_them():
    assert GRID.starts == ((0, 4, 8, 12), (0,), (0, 4, 9, 13))
    assert (GRID.counts, len(GRID), GRID.size) == ((4, 1, 4), 16, (8, 10, 10))


@pytest.mark.parametrize(
    ("configuration", "patch", "shape"),
    [
        ("3d_fullres", (8, 16, 16), (13, 40, 9)),
        ("3d_fullres", (8, 16, 16), (3, 16, 17)),
        ("2d", (16, 24), (5, 40, 9)),
    ],
)
def test_windows_are_nnunets_in_its_order(configuration, patch, shape):
    folds = folds_of([Threshold(len(patch), heads=3)], configuration=configuration, patch=patch)
    grid = stock_grid(folds, shape)
    slicers = folds.predictor._internal_get_sliding_window_slicers(grid.shape)
    expected = [
        tuple(side if isinstance(side, slice) else slice(side, side + 1) for side in sl[1:]) for sl in slicers
    ]
    assert list(grid.boxes(grid.all())) == expected
    assert count_windows(folds, shape) == len(expected)


def test_cores_end_midway_between_centres():
    # centres 4, 8, 12, 16 of slices; 5, 9, 14, 18 of columns
    assert GRID.core_edges(0) == [0, 6, 10, 14, 20]
    assert GRID.core_edges(1) == [0, 10]
    assert GRID.core_edges(2) == [0, 7, 11, 16, 23]


def test_a_core_is_one_slice_in_2d():
    grid = make_grid((4, 20, 8), patch=(8, 8), step=0.5)
    assert grid.size == (1, 8, 8)
    assert grid.core_edges(0) == [0, 1, 2, 3, 4]
    assert grid.core_edges(1) == [0, 6, 10, 14, 20]


@pytest.mark.parametrize("patch", [(8, 10, 10), (10, 10)])
def test_cores_tile_the_image(patch):
    grid = make_grid((20, 10, 23), patch=patch, step=0.5)
    covered = np.zeros(grid.shape, int)
    for index in np.ndindex(grid.counts):
        chosen = grid.none()
        chosen[index] = True
        core = grid.cores(chosen)
        (window,) = grid.boxes(chosen)
        assert core.any()
        assert not np.delete(np.delete(core, range(*window[0].indices(20)), 0), (), 0).any()
        covered += core
    assert (covered == 1).all()


@pytest.mark.parametrize(
    ("voxel", "reach", "expected"),
    [
        ((5, 3, 6), (0, 0, 0), [(0, 0, 0)]),
        ((5, 3, 6), (1, 0, 0), [(0, 0, 0), (1, 0, 0)]),  # slice 6 begins the next core
        ((5, 3, 6), (1, 9, 1), [(0, 0, 0), (0, 0, 1), (1, 0, 0), (1, 0, 1)]),
        ((8, 3, 13), (2, 0, 0), [(1, 0, 2), (2, 0, 2)]),  # slices 6 to 9, and 10 is 2 slices away
        ((8, 3, 13), (3, 0, 0), [(0, 0, 2), (1, 0, 2), (2, 0, 2)]),  # slice 5 is 3 slices away
        ((19, 9, 22), (5, 5, 5), [(3, 0, 3)]),
        ((19, 9, 22), (6, 5, 7), [(2, 0, 2), (2, 0, 3), (3, 0, 2), (3, 0, 3)]),
    ],
)
def test_windows_near_a_voxel(voxel, reach, expected):
    mask = np.zeros(GRID.shape, bool)
    mask[voxel] = True
    assert [tuple(map(int, index)) for index in np.argwhere(GRID.near(mask, reach))] == expected


def test_windows_near_a_voxel_in_2d():
    grid = make_grid((4, 20, 8), patch=(8, 8), step=0.5)
    mask = np.zeros(grid.shape, bool)
    mask[1, 5, 0] = True
    chosen = grid.near(mask, (1, 1, 0))
    assert np.argwhere(chosen)[:, 0].tolist() == [0, 0, 1, 1, 2, 2]
    assert np.argwhere(chosen)[:, 1].tolist() == [0, 1] * 3


def test_no_window_is_near_nothing():
    assert not GRID.near(np.zeros(GRID.shape, bool), (9, 9, 9)).any()


def test_a_covering_leaves_no_gap():
    grid = Grid((30, 8, 26), (8, 8, 8), ((0, 4, 8, 12, 16, 22), (0,), (0, 5, 10, 14, 18)))
    chosen = grid.covering()
    # slices: 0, then 8 (touching), 16 (touching), 22; columns: 0, then 5, for 10 leaves 8 and 9; then 10, 18
    assert np.argwhere(chosen)[:, 0].tolist() == [0] * 4 + [2] * 4 + [4] * 4 + [5] * 4
    assert np.argwhere(chosen)[:4, 2].tolist() == [0, 1, 2, 4]


def test_hull_is_around_the_chosen_windows():
    chosen = GRID.none()
    chosen[1, 0, 0] = chosen[2, 0, 2] = True
    assert GRID.hull(chosen) == box((4, 16), (0, 10), (0, 19))


def test_boxes():
    mask = np.zeros((5, 6, 7), bool)
    mask[1, 2, 3] = mask[3, 2, 6] = True
    found = bounding_box(mask)
    assert found == box((1, 4), (2, 3), (3, 7))
    assert grown(found, (2, 1, 1), within=mask.shape) == box((0, 5), (1, 4), (2, 7))
    assert shifted(found, box((1, 9), (1, 9), (1, 9))) == box((0, 3), (1, 2), (2, 6))
    assert common(found, box((3, 9), (0, 9), (0, 4))) == box((3, 4), (2, 3), (3, 4))
    assert common(found, box((4, 9), (0, 9), (0, 4))) is None
