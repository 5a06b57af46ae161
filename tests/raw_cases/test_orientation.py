"""The orientation of a label is determined from the image: whatever its flips, or not at all."""

from itertools import permutations, product

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_pancext.errors import PancextError
from nnunet_pancext.raw_cases.orientation import Reorientation, find_orientation, separation

PANCREAS = 7
FLIPS = list(product((False, True), repeat=3))


@pytest.fixture(scope="module", params=["ts_example_ct", "ts_example_ct_sm"])
def real(request, shared_data):
    """A real CT cut square, so that x and y can be exchanged, with its pancreas."""
    folder = shared_data / "real_ct" / request.param
    image, label = (
        sitk.GetArrayFromImage(sitk.ReadImage(str(folder / name)))
        for name in ("image.nii.gz", "label.nii.gz")
    )
    return image[:, :, 10:111], (label == PANCREAS)[:, :, 10:111].astype(np.uint8)


def test_the_fixture_keeps_the_organ(real):
    image, label = real
    assert image.shape[1] == image.shape[2]
    assert label.sum() > 600


@pytest.mark.parametrize("axes", [(0, 1, 2), (0, 2, 1)])
@pytest.mark.parametrize("flipped", FLIPS)
def test_a_real_label_is_recovered_from_every_flip_and_exchange(real, axes, flipped):
    image, label = real
    orientation = find_orientation(image, Reorientation(axes, flipped).apply(label))
    assert orientation.is_clear
    assert orientation.score > 0.75
    np.testing.assert_array_equal(orientation.turn.apply(Reorientation(axes, flipped).apply(label)), label)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_axes_of_different_length_are_put_in_order(order):
    image, label = sphere((10, 14, 18), centre=(3, 5, 6))
    orientation = find_orientation(image, label.transpose(order))
    np.testing.assert_array_equal(orientation.turn.apply(label.transpose(order)), label)
    assert orientation.is_clear


def test_the_stored_orientation_is_scored_too():
    image, label = sphere((14, 16, 16), centre=(3, 5, 6))
    orientation = find_orientation(image, label)
    assert orientation.turn == Reorientation()
    assert orientation.as_it_is == orientation.score > 0.99
    wrong = find_orientation(image, label[::-1])
    assert wrong.turn == Reorientation(flipped=(True, False, False))
    assert wrong.as_it_is < 0.6
    assert np.isnan(find_orientation(image, label.transpose(1, 0, 2)).as_it_is)


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_not_clear(seed):
    random = np.random.default_rng(seed)
    _, label = sphere((12, 20, 20), centre=(5, 8, 9))
    assert not find_orientation(random.normal(size=(12, 20, 20)), label).is_clear


def test_a_few_voxels_are_not_clear():
    image, label = sphere((12, 20, 20), centre=(3, 8, 9))
    few = np.zeros_like(label)
    few[tuple(np.argwhere(label)[40:45].T)] = 1
    orientation = find_orientation(image, few)
    assert orientation.voxels == 5
    assert not orientation.is_clear


def test_two_equally_good_places_are_not_clear():
    """Two kidneys, one labelled: the image cannot decide which."""
    image, label = sphere((12, 16, 30), centre=(5, 7, 7))
    twins = np.maximum(image, image[:, :, ::-1])
    orientation = find_orientation(twins, label)
    assert orientation.score > 0.99
    assert orientation.margin < 0.05
    assert not orientation.is_clear


def test_a_label_that_looks_the_same_from_both_sides_needs_no_decision():
    image, label = sphere((11, 15, 15), centre=(5, 7, 7))
    orientation = find_orientation(image, label)
    assert orientation.turn == Reorientation()
    assert orientation.is_clear


def test_separation_is_the_area_under_the_roc_curve():
    image = np.array([[[0, 1, 1, 5, 2, 7, 3]]], float)
    mask = np.array([[[0, 0, 0, 1, 1, 0, 0]]], bool)
    # inside 5, 2; the shell 1, 1 and 7, 3: pairs won 3 of 4 and 2 of 4
    assert separation(image, mask) == pytest.approx(5 / 8)
    assert separation(np.ones_like(image), mask) == 0.5
    assert separation(image, np.ones_like(mask)) == 0.5


def test_a_label_that_cannot_fit_the_image_is_refused():
    with pytest.raises(PancextError, match=r"size \(4, 3, 2\) does not fit the image's \(5, 3, 2\) in any"):
        find_orientation(np.zeros((2, 3, 5)), np.ones((2, 3, 4)))
    with pytest.raises(PancextError, match="no foreground"):
        find_orientation(np.zeros((2, 3, 4)), np.zeros((2, 3, 4)))


@pytest.mark.parametrize(
    ("reorientation", "words"),
    [
        (Reorientation(), "as stored"),
        (Reorientation(flipped=(True, False, True)), "z and x flipped"),
        (Reorientation((0, 2, 1), (False, True, False)), "axes in the order z, x, y; y flipped"),
    ],
)
def test_a_reorientation_in_words(reorientation, words):
    assert str(reorientation) == words


def sphere(shape, *, centre):
    """Return a bright ball in darker noise, and its label."""
    grid = np.indices(shape)
    distance = sum((axis - middle) ** 2 for axis, middle in zip(grid, centre, strict=True))
    label = (distance < 10).astype(np.uint8)
    return label * 100 + np.random.default_rng(0).normal(size=shape), label


@pytest.mark.parametrize("kind", [np.int16, np.uint8, np.float32, np.int64])
def test_the_score_is_that_of_comparing_every_pair(kind):
    random = np.random.default_rng(5)
    image = random.integers(0, 9, (3, 8, 8)).astype(kind)
    if kind is np.int64:
        image *= 10**7  # too wide to count
    mask = np.zeros(image.shape, bool)
    mask[1, 3:5, 3:6] = True
    inside = image[mask]
    # two steps in plane, not around the corners
    outside = [
        image[1, y, x]
        for y in range(8)
        for x in range(8)
        if not mask[1, y, x] and min(abs(y - a) + abs(x - b) for _, a, b in np.argwhere(mask)) <= 2
    ]
    pairs = [(value > other) + 0.5 * (value == other) for value in inside for other in outside]
    assert separation(image, mask) == pytest.approx(np.mean(pairs), abs=1e-12)
