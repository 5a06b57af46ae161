"""Distances between surfaces: worked by hand, and equal to MONAI's on shapes of all kinds."""

import math

import numpy as np
import pytest
import torch
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice
from scipy import ndimage

from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.surface import surface, surface_distances


def box(*, at, size, shape=(9, 10, 11)):
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(start, start + length) for start, length in zip(at, size, strict=True))] = True
    return mask


def test_surface_of_a_cube_is_all_but_its_centre():
    assert surface(box(at=(1, 1, 1), size=(3, 3, 3))).sum() == 26


def test_the_end_of_the_image_is_a_border():
    assert surface(np.ones((3, 3, 3), dtype=bool)).sum() == 26


def test_squares_shifted_by_one_voxel():
    """Of 8 surface pixels each, 5 of one are also the other's and 3 are one column away."""
    prediction, truth = box(at=(1, 2), size=(3, 3), shape=(6, 7)), box(at=(1, 1), size=(3, 3), shape=(6, 7))
    distances = surface_distances(prediction, truth, spacing_mm=(1, 2))
    # Within the square's hollow the nearest surface pixel is 1 row away, not 2 mm along the row.
    assert sorted(distances.to_truth) == [0, 0, 0, 0, 1, 2, 2, 2]
    assert sorted(distances.to_prediction) == [0, 0, 0, 0, 1, 2, 2, 2]
    assert distances.assd_mm == pytest.approx(7 / 8)
    assert distances.hd95_mm == pytest.approx(2)
    assert distances.nsd(1) == pytest.approx(5 / 8)
    assert distances.nsd(2) == 1


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize(("spacing_mm", "voxels"), [(0.2, 5), (0.4, 5), (0.1, 10), (0.7, 3)])
def test_a_distance_equal_to_the_tolerance_is_within_it_at_any_position(spacing_mm, voxels, kind):
    """Two planes: each voxel is exactly the tolerance away from the other plane."""
    spacing = float(kind(spacing_mm))
    for start in range(0, 60, 7):
        first, second = np.zeros((2, 80, 3, 3), dtype=bool)
        first[start], second[start + voxels] = True, True
        distances = surface_distances(first, second, spacing_mm=(spacing, 1, 1))
        assert distances.nsd(voxels * spacing_mm) == 1
        assert distances.nsd(voxels * spacing_mm - 0.001) == 0


def test_single_voxels_on_anisotropic_spacing():
    prediction, truth = box(at=(1, 2, 3), size=(1, 1, 1)), box(at=(3, 2, 3), size=(1, 1, 1))
    distances = surface_distances(prediction, truth, spacing_mm=(2.5, 0.7, 0.7))
    assert distances.hd95_mm == distances.assd_mm == pytest.approx(5)
    assert distances.nsd(2) == 0


def test_two_empty_masks_are_undefined():
    empty = np.zeros((2, 3, 4), dtype=bool)
    distances = surface_distances(empty, empty, spacing_mm=(1, 1, 1))
    assert all(map(math.isnan, (distances.hd95_mm, distances.assd_mm, distances.nsd(1))))


@pytest.mark.parametrize("order", [1, -1])
def test_one_empty_mask_is_infinitely_far(order):
    masks = [np.zeros((3, 3, 3), dtype=bool), np.ones((3, 3, 3), dtype=bool)][::order]
    distances = surface_distances(*masks, spacing_mm=(1, 1, 1))
    assert distances.hd95_mm == distances.assd_mm == math.inf
    assert distances.nsd(2) == 0


def blobs(seed, shape):
    noise = np.random.default_rng(seed).normal(size=shape)
    return ndimage.gaussian_filter(noise, 2) > 0.02


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (2.5, 0.8, 0.7)])
def test_equals_monai(seed, spacing_mm):
    """Blobs that touch the border, in pieces, with holes."""
    prediction, truth = blobs(seed, (14, 30, 26)), blobs(seed + 100, (14, 30, 26))
    distances = surface_distances(prediction, truth, spacing_mm=spacing_mm)
    tensors = [torch.from_numpy(mask)[None, None].float() for mask in (prediction, truth)]
    options = {"include_background": True, "spacing": list(spacing_mm)}
    hd95 = compute_hausdorff_distance(*tensors, percentile=95, **options)
    assd = compute_average_surface_distance(*tensors, symmetric=True, **options)
    assert distances.hd95_mm == pytest.approx(hd95.item(), abs=1e-5)
    assert distances.assd_mm == pytest.approx(assd.item(), abs=1e-5)
    for tolerance in (1.0, 2.0):
        nsd = compute_surface_dice(*tensors, class_thresholds=[tolerance], **options)
        assert distances.nsd(tolerance) == pytest.approx(nsd.item(), abs=1e-5)


@pytest.mark.parametrize(("shape", "spacing_mm"), [((3, 4), (1, 1)), ((3, 3), (1, 1, 1)), ((3, 3), (1, 0))])
def test_refuses_masks_that_do_not_fit(shape, spacing_mm):
    with pytest.raises(PancextError, match="two masks of one shape and a positive spacing"):
        surface_distances(np.ones((3, 3), dtype=bool), np.ones(shape, dtype=bool), spacing_mm=spacing_mm)
