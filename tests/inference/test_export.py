"""Export inside boxes against nnU-Net's export of the whole image."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from contracts.loaded_folds import Threshold, folds_of, image_of, plans_with
from scipy.ndimage import gaussian_filter

from nnunet_pancext.inference.export import export, probabilities_at
from nnunet_pancext.inference.foreground import is_foreground
from nnunet_pancext.inference.logits import Logits, Passes, Region
from nnunet_pancext.inference.resampling import is_linear
from nnunet_pancext.inference.windows import bounding_box, grown, with_channels

BODY = np.s_[1:25, 4:58, 3:61]  # of 26 x 60 x 64; nnU-Net crops the rest away


def scene(
    spacing, planned, *, configuration="3d_fullres", transpose=(0, 1, 2), kind="two foregrounds", **changes
):
    """Return folds, an image with `spacing`, and smooth logits of it with two blobs of foreground."""
    patch = (16, 16) if configuration == "2d" else (8, 16, 16)
    changes["plans"] = plans_with(
        configuration, patch, spacing=[planned[axis] for axis in transpose], transpose=transpose
    )
    folds = folds_of([Threshold(3, heads=3)], configuration=configuration, patch=patch, kind=kind, **changes)
    voxels = np.zeros((26, 60, 64))
    voxels[BODY] = 1
    image = image_of(folds, voxels, spacing=spacing)
    shape = image.data.shape[1:]
    generator = np.random.default_rng(5)
    heads = folds.labels.num_segmentation_heads
    smooth = [gaussian_filter(generator.normal(size=shape), [n / 16 for n in shape]) for _ in range(heads)]
    logits = np.stack([3 * part / part.std() for part in smooth])
    away = np.ones(shape, bool)
    away[tuple(slice(n // 5, n - n // 5) for n in shape)] = False
    if folds.labels.has_regions:
        logits = logits - 2 - 20 * away
    else:
        logits[0] += 2 + 20 * away
    return folds, image, torch.from_numpy(logits).half()


def as_whole(logits, per_fold=()):
    whole = tuple(slice(0, length) for length in logits.shape[1:])
    return Logits(logits.shape[1:], (Region(whole, logits, per_fold),), Passes(), is_whole=True)


def as_regions(logits, boxes, per_fold=()):
    regions = tuple(
        Region(box, logits[with_channels(box)], tuple(part[with_channels(box)] for part in per_fold))
        for box in boxes
    )
    return Logits(logits.shape[1:], regions, Passes())


def around(logits, *, has_regions=False):
    mask = is_foreground(logits, has_regions=has_regions).numpy()
    return grown(bounding_box(mask), (2, 2, 2), within=mask.shape)


def assert_nearly_the_same(label_map, expected):
    assert label_map.dtype == expected.dtype
    assert label_map.shape == expected.shape
    foreground = (expected > 0).sum()
    assert foreground > 3000
    different = label_map != expected
    assert different.sum() <= max(1, 2e-4 * foreground)
    for voxel in np.argwhere(different):
        neighbours = expected[tuple(slice(max(0, index - 1), index + 2) for index in voxel)]
        assert len(np.unique(neighbours)) > 1


SPACINGS = {
    "upsampling": ((1.0, 0.8, 0.9), (1.5, 1.1, 1.6)),
    "downsampling": ((1.5, 1.1, 1.6), (1.0, 0.8, 0.9)),
    "slices apart, upsampling": ((4.0, 0.7, 0.8), (5.0, 1.1, 1.3)),
    "slices apart, downsampling": ((4.0, 1.1, 1.3), (3.0, 0.8, 0.8)),
    "slices apart in the plan alone": ((2.0, 1.1, 1.3), (4.0, 0.8, 0.8)),
    "no resampling": ((2.0, 0.8, 0.9), (2.0, 0.8, 0.9)),
    "columns apart": ((0.7, 0.8, 4.0), (1.1, 1.2, 5.0)),
}  # of the image, and of the plan


@pytest.mark.parametrize("kind", ["two foregrounds", "regions"])
@pytest.mark.parametrize(("spacing", "planned"), SPACINGS.values(), ids=list(SPACINGS))
def test_labels_are_nnunets(spacing, planned, kind):
    folds, image, logits = scene(spacing, planned, kind=kind)
    expected, _ = export(folds, image, as_whole(logits))
    box = around(logits, has_regions=kind == "regions")
    label_map, probabilities = export(folds, image, as_regions(logits, [box]))
    assert probabilities is None
    assert_nearly_the_same(label_map, expected)


@pytest.mark.parametrize("transpose", [(1, 0, 2), (2, 0, 1)], ids=str)
@pytest.mark.parametrize("configuration", ["2d", "3d_fullres"])
def test_labels_are_nnunets_with_another_order_of_axes(configuration, transpose):
    spacing, planned = SPACINGS["slices apart, upsampling"]
    folds, image, logits = scene(spacing, planned, configuration=configuration, transpose=transpose)
    expected, _ = export(folds, image, as_whole(logits))
    assert expected.shape == (26, 60, 64)
    assert_nearly_the_same(export(folds, image, as_regions(logits, [around(logits)]))[0], expected)


def test_the_whole_image_as_a_region_is_nnunets_too():
    folds, image, logits = scene(*SPACINGS["upsampling"])
    box = tuple(slice(0, length) for length in logits.shape[1:])
    expected, likely = export(folds, image, as_whole(logits), with_probabilities=True)
    label_map, probabilities = export(folds, image, as_regions(logits, [box]), with_probabilities=True)
    assert_nearly_the_same(label_map, expected)
    assert probabilities.dtype == likely.dtype
    np.testing.assert_allclose(probabilities, likely, rtol=0, atol=2e-3)  # half precision of logits up to 16


@pytest.mark.parametrize(("kind", "outside"), [("two foregrounds", [1, 0, 0]), ("regions", [0, 0])])
def test_probabilities_are_nnunets_inside_and_background_outside(kind, outside):
    folds, image, logits = scene(*SPACINGS["slices apart, upsampling"], kind=kind)
    box = around(logits, has_regions=kind == "regions")
    expected, likely = export(folds, image, as_whole(logits), with_probabilities=True)
    label_map, probabilities = export(folds, image, as_regions(logits, [box]), with_probabilities=True)
    assert_nearly_the_same(label_map, expected)
    inside = np.broadcast_to(expected > 0, likely.shape)
    np.testing.assert_allclose(probabilities[inside], likely[inside], rtol=0, atol=2e-3)
    np.testing.assert_array_equal(probabilities[:, 0, 0, 0], outside)


def test_regions_apart_and_no_region():
    folds, image, logits = scene(*SPACINGS["upsampling"])
    logits[0, :, :, logits.shape[3] // 2 - 2 : logits.shape[3] // 2 + 3] += 40  # a gap between two parts
    expected, _ = export(folds, image, as_whole(logits))
    full, middle = around(logits), logits.shape[3] // 2
    boxes = [(*full[:2], slice(full[2].start, middle)), (*full[:2], slice(middle, full[2].stop))]
    assert_nearly_the_same(export(folds, image, as_regions(logits, boxes))[0], expected)
    label_map, probabilities = export(folds, image, as_regions(logits, []), with_probabilities=True)
    assert not label_map.any()
    assert (probabilities[0] == 1).all()


def test_a_fold_alone_is_exported():
    folds, image, logits = scene(*SPACINGS["upsampling"])
    other = logits.flip(3)
    box = tuple(slice(0, length) for length in logits.shape[1:])
    expected, _ = export(folds, image, as_whole(other))
    both = (logits, other)
    assert_nearly_the_same(export(folds, image, as_regions(logits, [box], both), fold=1)[0], expected)
    np.testing.assert_array_equal(export(folds, image, as_whole(logits, both), fold=1)[0], expected)


@pytest.mark.parametrize(
    ("name", "options", "most"),
    [
        # a spline sees logits beyond the box, too
        ("resample_data_or_seg_to_shape", {"is_seg": False, "order": 3, "order_z": 0}, 1e-3),
        ("resample_torch_fornnunet", {"is_seg": False, "force_separate_z": False}, 2e-4),
    ],
)
def test_another_resampling_is_nnunets_own(name, options, most):
    spacing, planned = SPACINGS["upsampling"]
    plans = plans_with("3d_fullres", (8, 16, 16), spacing=planned)
    configured = plans["configurations"]["3d_fullres"]
    configured["resampling_fn_probabilities"] = name
    configured["resampling_fn_probabilities_kwargs"] = options
    folds, image, logits = scene(spacing, planned)
    other = folds_of([Threshold(3, heads=3)], plans=plans)
    assert is_linear(folds.configuration.resampling_fn_probabilities)
    assert not is_linear(other.configuration.resampling_fn_probabilities)
    expected, _ = export(other, image, as_whole(logits))
    box = around(logits)
    label_map, _ = export(other, image, as_regions(logits, [box]))
    assert (label_map != expected).sum() <= most * (expected > 0).sum()


@pytest.mark.parametrize("transpose", [(0, 1, 2), (2, 0, 1)], ids=str)
def test_probabilities_at_voxels(transpose):
    """The image is twice as fine as the network's grid: voxels 2k and 2k + 1 of the crop are its voxel k."""
    folds, image, logits = scene((1.0, 0.5, 0.5), (2.0, 1.0, 1.0), transpose=transpose)
    voxels = np.array([(13, 30, 30), (12, 31, 28), (9, 36, 35), (0, 30, 30), (25, 59, 63), (13, 4, 30)])
    for made in (as_whole(logits), as_regions(logits, [around(logits)])):
        found = probabilities_at(folds, image, made, voxels)
        assert found.shape == (6, 3)
        for voxel, probability in zip(voxels[:3], found, strict=False):
            slices, rows, columns = ((voxel - [1, 4, 3]) // 2)[list(transpose)]
            expected = logits[:, slices, rows, columns].float().softmax(0)
            np.testing.assert_allclose(probability, expected, rtol=1e-5)
        np.testing.assert_array_equal(found[3:5], [[1, 0, 0]] * 2)  # outside of nnU-Net's crop
    assert found[5].tolist() == [1, 0, 0]  # outside of the region


def test_probabilities_at_voxels_of_regions():
    folds, image, logits = scene((1.0, 0.5, 0.5), (2.0, 1.0, 1.0), kind="regions")
    made = as_regions(logits, [around(logits, has_regions=True)])
    found = probabilities_at(folds, image, made, np.array([(13, 30, 30), (0, 0, 0)]))
    np.testing.assert_allclose(found[0], logits[:, 6, 13, 13].float().sigmoid(), rtol=1e-5)
    assert found[1].tolist() == [0, 0]


def test_no_voxels_have_no_probabilities():
    folds, image, logits = scene(*SPACINGS["upsampling"])
    assert probabilities_at(folds, image, as_whole(logits), np.zeros((0, 3), int)).shape == (0, 3)


def test_a_function_without_options_is_not_taken_for_nnunets():
    assert not is_linear(SimpleNamespace())
