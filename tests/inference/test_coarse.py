"""The coarse pass and what is taken for foreground, with numbers worked out by hand."""

import numpy as np
import pytest
import torch
from contracts.loaded_folds import Threshold, folds_of, image_of

from nnunet_pancext.inference.coarse import plan_coarse_pass, plan_kept_pass
from nnunet_pancext.inference.foreground import (
    implausible,
    is_foreground,
    large_components,
    make_background,
    make_unseen,
    volume_ml,
    voxel_spacing_mm,
)
from nnunet_pancext.inference.logits import Request
from nnunet_pancext.inference.window_runner import WindowRunner


def flat(axes=None):
    return folds_of([Threshold(2, heads=3, blur=0)], configuration="2d", patch=(16, 16), axes=axes)


def image_with(folds, *slices, shape=(12, 16, 40)):
    """Return an image with a row of 4 foreground voxels in some slices."""
    voxels = np.full(shape, 0.02)
    for index in slices:
        voxels[index, 5, 20:24] = 1
    return image_of(folds, voxels)


def test_windows_touch_each_other_in_3d():
    folds = folds_of([Threshold(3, heads=3)])
    image = image_of(folds, np.ones((16, 33, 40)))
    planned = plan_coarse_pass(folds, image, networks=[0, 1], most_forwards=36)
    assert planned.grid.starts == ((0, 8), (0, 8, 17), (0, 12, 24))
    assert (planned.windows, planned.forwards) == (18, 36)
    assert plan_coarse_pass(folds, image, networks=[0, 1], most_forwards=35) is None


@pytest.mark.parametrize(
    ("most", "every", "slices"),
    [
        (36, 1, range(12)),  # three windows a slice
        (35, 1, [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]),
        (12, 1, [1, 4, 7, 10]),
        (36, 5, [2, 6, 10]),
        (5, 1, [6]),
    ],
)
def test_slices_are_spread_evenly_in_2d(most, every, slices):
    folds = flat()
    planned = plan_coarse_pass(folds, image_with(folds), networks=[0], most_forwards=most, every=every)
    assert planned.chosen.any((1, 2)).nonzero()[0].tolist() == list(slices)
    assert planned.forwards == 3 * len(slices)


@pytest.mark.parametrize(("most", "is_enough"), [(12, True), (11, False)])
def test_too_few_slices_in_2d_are_no_coarse_pass(most, is_enough):
    """Of 12 slices with three windows each, one of three is four slices."""
    folds = flat()
    planned = plan_coarse_pass(folds, image_with(folds), networks=[0], most_forwards=most, least_every=3)
    assert (planned is not None) == is_enough


def test_no_slice_fits():
    folds = flat()
    assert plan_coarse_pass(folds, image_with(folds), networks=[0], most_forwards=2.9) is None


def test_kept_windows_are_nnunets_and_cover_the_slice():
    folds = flat(axes=())
    planned = plan_kept_pass(folds, image_with(folds))
    assert planned.grid.starts[1:] == ((0,), (0, 8, 16, 24))
    assert planned.chosen.any((1, 2)).nonzero()[0].tolist() == [1, 4, 7, 10]
    assert planned.chosen[1, 0].tolist() == [True, False, True, True]
    assert planned.is_kept


@pytest.mark.parametrize(
    ("seen", "found"), [([4], [2, 3, 4, 5, 6]), ([1], [0, 1, 2, 3]), ([10], [8, 9, 10, 11]), ([5], [])]
)
def test_skipped_slices_take_the_foreground_of_their_neighbours(seen, found):
    folds = flat()
    image = image_with(folds, *seen)
    planned = plan_coarse_pass(folds, image, networks=[0], most_forwards=12)  # slices 1, 4, 7 and 10
    mask = planned.find(WindowRunner(folds, image))
    assert mask.any((1, 2)).nonzero()[0].tolist() == found
    assert mask.sum() == 4 * len(found)


def test_padding_is_no_foreground():
    class Everywhere(Threshold):
        def logits(self, value):
            return torch.cat([torch.zeros_like(value), torch.ones_like(value)], 1)

    folds = folds_of([Everywhere(3, heads=2)], kind="one foreground")
    image = image_of(folds, np.ones((3, 20, 9)))
    planned = plan_coarse_pass(folds, image, networks=[0], most_forwards=9)
    mask = planned.find(WindowRunner(folds, image))
    assert mask.shape == (8, 20, 16)
    assert mask.sum() == 3 * 20 * 9
    assert mask[2:5, :, 3:12].all()  # padded by 2 and 3 slices, by 3 and 4 columns


def test_foreground_is_what_nnunet_labels():
    logits = torch.tensor([[0.0, 1.0, 1.0], [0.0, 2.0, 0.0], [-1.0, 0.0, 1.5]])
    assert is_foreground(logits, has_regions=False).tolist() == [False, True, True]
    assert is_foreground(logits, has_regions=True).tolist() == [False, True, True]
    assert is_foreground(-logits.abs(), has_regions=True).tolist() == [False, False, False]


def test_background_is_made_of_foreground_alone():
    logits = torch.tensor([[0.5, 1.0, 1.0], [0.0, 2.0, 0.0], [-1.0, -3.0, 1.5]])
    where = torch.tensor([False, True, True])
    labels, regions = logits.clone(), logits.clone()
    make_background(labels, where, has_regions=False)
    assert labels.tolist() == [[0.5, 1.0, 1.0], [0.0, 0.0, 0.0], [-1.0, -3.0, 0.0]]
    make_background(regions, where, has_regions=True)
    assert regions.tolist() == [[0.5, -1.0, -1.0], [0.0, -1.0, -1.0], [-1.0, -3.0, -1.0]]
    make_unseen(labels, where, has_regions=False)
    assert labels[:, 1].softmax(0)[0] > 0.9999
    assert labels[:, 0].tolist() == logits[:, 0].tolist()
    make_unseen(regions, where, has_regions=True)
    assert (regions[:, 1:].sigmoid() < 1e-4).all()


def test_components_below_a_twentieth_of_a_millilitre_are_not_large():
    mask = np.zeros((6, 20, 20), bool)
    mask[1, 1, :10] = True
    mask[2, 2, 10:15] = True  # joined at a corner: 15 voxels of 3.5 mm3, 0.0525 mL
    mask[4, 10, :14] = True  # 0.049 mL
    large = large_components(mask, (3.5, 1.0, 1.0))
    assert (large[:3] == mask[:3]).all()
    assert not large[3:].any()
    assert not large_components(np.zeros_like(mask), (1, 1, 1)).any()


@pytest.mark.parametrize("transpose", [(0, 1, 2), (2, 0, 1)], ids=str)
def test_slices_keep_their_spacing_in_2d(transpose):
    folds = folds_of(
        [Threshold(2, heads=3)],
        configuration="2d",
        patch=(16, 16),
        spacing=(9, 0.7, 0.6),
        transpose=transpose,
    )
    image = image_of(folds, np.ones((20, 20, 20)), spacing=(3.0, 0.9, 0.8))
    assert voxel_spacing_mm(folds, image) == ((3.0, 0.9, 0.8)[transpose[0]], 0.7, 0.6)
    assert volume_ml(500, (2.0, 0.5, 0.5)) == 0.25


@pytest.mark.parametrize(
    ("volume", "plausible", "message"),
    [
        (0, None, "no foreground was found in the windows that were run"),
        (3, None, ""),
        (3, (3, 9), ""),
        (9, (3, 9), ""),
        (2.5, (3, 9), "the foreground found has 2.5 mL; 3 to 9 mL are plausible by the training cases"),
        (12.34, (3, 9), "the foreground found has 12.3 mL; 3 to 9 mL are plausible by the training cases"),
    ],
)
def test_volumes_are_believed_within_the_range_of_the_training(volume, plausible, message):
    assert implausible(volume, Request(plausible_ml=plausible)) == message
