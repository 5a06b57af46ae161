"""`balanced` and `fast` find what `exact` finds, wherever it is, at no more than 1.1 times its price."""

import re
from functools import cache

import numpy as np
import pytest
import torch
from contracts.loaded_folds import Blind, Contextual, Threshold, folds_of, image_of, plans_with
from scipy.ndimage import gaussian_filter

from nnunet_pancext.inference import fast, foreground
from nnunet_pancext.inference.coarse import plan_kept_pass
from nnunet_pancext.inference.export import export
from nnunet_pancext.inference.logits import Request
from nnunet_pancext.inference.predict import predict_logits
from nnunet_pancext.inference.windows import make_grid

SHAPE = (20, 64, 72)
WAYS = ["balanced", "fast"]
DIMENSIONS = {"3d_fullres": (8, 24, 24), "2d": (32, 32)}
SMALL = {"3d_fullres": (8, 16, 16), "2d": (24, 24)}  # windows, of which there are many


@pytest.fixture(autouse=True)
def _single_precision(monkeypatch):
    """Predict with the same numbers on every processor."""
    monkeypatch.setattr(fast, "bfloat16_pays", lambda threads: False)


def ellipsoid(centre, radii, shape=SHAPE):
    grid = np.meshgrid(*map(np.arange, shape), indexing="ij")
    return sum(((axis - at) / radius) ** 2 for axis, at, radius in zip(grid, centre, radii, strict=True)) <= 1


def organ(centre=(10, 32, 36), radii=(4, 9, 11), shape=SHAPE):
    """Return an image of an organ with a tumour, on a faint background."""
    voxels = np.full(shape, 0.02)
    voxels[ellipsoid(centre, radii, shape)] = 1
    voxels[ellipsoid(centre, [radius / 2.5 for radius in radii], shape)] = 2
    return voxels


def corner(*ends):
    """Return an organ in the corner at these ends of the axes."""
    return organ([end * (length - 1) for end, length in zip(ends, SHAPE, strict=True)])


def thirty_voxels():
    voxels = np.full(SHAPE, 0.02)
    voxels[9:11, 30:33, 40:45] = 1  # in 2D on two slices, in 3D within one coarse window
    return voxels


def scattered():
    """An organ, and as many false positives as there are in a bad network's result."""
    voxels = organ()
    for index in np.random.default_rng(1).integers(0, SHAPE, (60, 3)):
        voxels[tuple(slice(start, start + 2) for start in index)] = 1
    return voxels


def noise():
    """What a weak network sees: blobs all over the image."""
    values = gaussian_filter(np.random.default_rng(2).normal(size=SHAPE), (1, 3, 3))
    return 0.02 + 1.2 * (values > 0.8 * values.std())


SCENES = {
    "amid the image": organ(),
    **{
        f"at the {'start' if end == 0 else 'end'} of axis {axis}": organ(
            [end * (SHAPE[axis] - 1) if index == axis else length // 2 for index, length in enumerate(SHAPE)]
        )
        for axis in range(3)
        for end in (0, 1)
    },
    **{f"in corner {ends}": corner(*ends) for ends in ((0, 0, 0), (0, 1, 0), (1, 0, 1), (1, 1, 1))},
    "two far apart": np.maximum(organ((4, 12, 12), (3, 6, 6)), organ((15, 52, 60), (3, 6, 6))),
    "thirty voxels": thirty_voxels(),
    "none": np.full(SHAPE, 0.02),
    "scattered false positives": scattered(),
    "a weak network's": noise(),
    "all over the image": np.ones(SHAPE),
}


def predict(folds, image, speed, **request):
    """Return label map, logits, and forward passes as the networks count them."""
    for network in folds.networks:
        network.calls = 0
    logits = predict_logits(folds, image, speed=speed, request=Request(**request))
    label_map, _ = export(folds, image, logits)
    return label_map, logits, sum(network.calls for network in folds.networks)


def dice(first, second):
    total = (first > 0).sum() + (second > 0).sum()
    return 2 * ((first > 0) & (second > 0)).sum() / total if total else 1.0


def assert_as_good(folds, image, speed, *, least=0.99, exact=None, **request):
    """Assert that labels are as exact's, and that the forward passes are counted right, and few."""
    expected, _, whole = exact or predict(folds, image, "exact")
    label_map, logits, calls = predict(folds, image, speed, **request)
    assert dice(label_map, expected) >= least
    passes = logits.passes
    assert passes.forwards == calls
    assert passes.whole_image_forwards == whole
    assert calls <= 1.1 * whole
    return logits, label_map, expected


@pytest.mark.parametrize("speed", WAYS)
@pytest.mark.parametrize("axes", [None, ()], ids=["mirrored", "not mirrored"])
@pytest.mark.parametrize("configuration", DIMENSIONS)
@pytest.mark.parametrize("name", SCENES)
def test_labels_are_those_of_exact(name, configuration, axes, speed):
    folds, image, exact = predicted_exactly(name, configuration, axes)
    _, label_map, expected = assert_as_good(folds, image, speed, exact=exact)
    np.testing.assert_array_equal(label_map, expected)  # this network sees the same in every window


@cache
def predicted_exactly(name, configuration, axes):
    patch = DIMENSIONS[configuration]
    network = Threshold(len(patch), heads=3, blur=0)
    folds = folds_of([network], configuration=configuration, patch=patch, axes=axes)
    image = image_of(folds, SCENES[name])
    return folds, image, predict(folds, image, "exact")


@pytest.mark.parametrize("speed", WAYS)
@pytest.mark.parametrize("name", ["amid the image", "at the end of axis 1", "two far apart", "thirty voxels"])
def test_labels_of_a_network_that_needs_context(name, speed):
    folds = folds_of([Contextual(3, heads=3)])
    assert_as_good(folds, image_of(folds, SCENES[name]), speed, least=0.99 if speed == "balanced" else 0.9)


@pytest.mark.parametrize("speed", WAYS)
@pytest.mark.parametrize("name", ["two far apart", "none"])
@pytest.mark.parametrize("axes", [(0, 1), ()], ids=str)
def test_regions_two_channels_and_two_folds(name, axes, speed):
    networks = [Threshold(3, heads=2, regions=True, blur=blur) for blur in (0, 1)]
    folds = folds_of(networks, kind="regions", channels=2, axes=axes)
    voxels = np.stack([SCENES[name], np.ones(SHAPE)])
    assert_as_good(folds, image_of(folds, voxels), speed)


@pytest.mark.parametrize("speed", WAYS)
@pytest.mark.parametrize("configuration", SMALL)
def test_work_is_saved_where_there_is_much_to_save(configuration, speed):
    folds, image, exact = small_organ(configuration)
    # with less overlap more voxels are at the edges of all their windows, where this network sees less
    least = 0.99 if speed == "balanced" else 0.97
    logits, _, _ = assert_as_good(folds, image, speed, least=least, exact=exact)
    passes = logits.passes
    assert passes.fallback == ""
    assert passes.forwards < passes.whole_image_forwards / 4
    assert passes.windows_left_out == passes.whole_image_windows - passes.windows > 0
    assert passes.seconds.keys() == {"coarse pass", "full pass"}


@cache
def small_organ(configuration):
    patch = SMALL[configuration]
    folds = folds_of([Threshold(len(patch), heads=3)], configuration=configuration, patch=patch)
    image = image_of(folds, organ((10, 36, 36), (3, 8, 8), shape=(28, 96, 96)))  # 781 x 1.6 mm3 = 1.2 mL
    return folds, image, predict(folds, image, "exact")


@pytest.mark.parametrize("speed", WAYS)
@pytest.mark.parametrize("patch", [(16, 32, 32), (32, 32)], ids=len)
def test_an_image_smaller_than_the_patch(patch, speed):
    configuration = "2d" if len(patch) == 2 else "3d_fullres"
    folds = folds_of([Threshold(len(patch), heads=3)], configuration=configuration, patch=patch)
    image = image_of(folds, organ((3, 10, 50), (2, 6, 8), shape=(6, 20, 90)))
    logits, label_map, expected = assert_as_good(folds, image, speed)
    np.testing.assert_array_equal(label_map, expected)
    assert logits.shape == (6, 20, 90)


@pytest.mark.parametrize("speed", WAYS)
@pytest.mark.parametrize("transpose", [(1, 0, 2), (2, 0, 1)], ids=str)
def test_other_order_of_axes_within_an_empty_border(transpose, speed):
    folds = folds_of(
        [Threshold(3, heads=3)], transpose=transpose, spacing=[(2.5, 0.9, 0.7)[i] for i in transpose]
    )
    voxels = organ()
    voxels[:2], voxels[:, 60:], voxels[..., :5] = 0, 0, 0
    logits, label_map, _ = assert_as_good(folds, image_of(folds, voxels), speed)
    assert label_map.shape == SHAPE
    assert logits.shape != SHAPE


@pytest.mark.parametrize(("speed", "looks"), [("balanced", 36), ("fast", 45)])
def test_a_coarse_pass_that_misses_is_followed_by_the_whole_image(speed, looks):
    network = Blind(3, heads=3, misses=looks)
    folds = folds_of([network])
    image = image_of(folds, organ((20, 40, 40), (3, 8, 8), shape=(20, 40, 64)))
    expected, _, whole = predict(folds, image, "exact")
    network.misses = looks
    label_map, logits, calls = predict(folds, image, speed)
    assert logits.passes.coarse_windows == looks
    assert logits.passes.fallback == "the coarse pass found no foreground"
    network.misses = 0
    expected, _, _ = predict(folds, image, "exact")
    assert dice(label_map, expected) >= 0.99
    assert calls == logits.passes.forwards <= 1.1 * whole


@pytest.mark.parametrize(("num_folds", "columns", "coarse"), [(1, 64, 45), (2, 64, 36), (1, 90, 54)])
def test_the_coarse_pass_of_fast_overlaps_where_that_costs_little(num_folds, columns, coarse):
    """In 64 columns 36 windows touch each other and 45 overlap, in 90 columns 54 and 75."""
    folds = folds_of([Threshold(3, heads=3) for _ in range(num_folds)])
    image = image_of(folds, organ((4, 30, 30), (3, 8, 8), shape=(20, 40, columns)))
    logits, _, _ = assert_as_good(folds, image, "fast", least=0.97)
    passes = logits.passes
    assert passes.coarse_windows == coarse
    assert passes.forwards == coarse + 2 * num_folds * passes.windows


class OneWindow(Threshold):
    """A network that sees nothing in its first `coarse` windows but one, which begins with a bright voxel."""

    coarse = 0

    def forward(self, window):
        logits = super().forward(window)
        is_hidden = self.calls <= self.coarse and not window[0, 0, 0, 0, 0] > 2.5
        return torch.zeros_like(logits) if is_hidden else logits


def long_organ():
    """Return an organ of which a coarse window, of 3 x 3 x 12 that touch each other, begins near the end."""
    voxels = np.full((24, 48, 192), 0.02)
    voxels[8:16, 16:32, 20:150] = 1
    voxels[8, 16, 144] = 3.0
    return voxels


@pytest.mark.parametrize(("speed", "least"), [("balanced", 2), ("fast", 1)])
def test_a_coarse_pass_that_sees_a_part_is_followed_by_growth(speed, least, monkeypatch):
    monkeypatch.setattr(foreground, "LEAST_SEEN", 0.0)
    network = OneWindow(3, heads=3)
    folds = folds_of([network])
    image = image_of(folds, long_organ())
    network.coarse = 108
    label_map, logits, calls = predict(folds, image, speed)
    network.coarse = 0
    expected, _, whole = predict(folds, image, "exact")
    assert dice(label_map, expected) >= 0.99
    assert logits.passes.coarse_windows == 108
    assert logits.passes.growths >= least
    assert logits.passes.fallback == "" or speed == "fast"
    assert calls == logits.passes.forwards <= 1.1 * whole


@pytest.mark.parametrize("speed", WAYS)
def test_a_coarse_pass_that_sees_little_of_what_is_found_is_not_relied_on(speed):
    network = OneWindow(3, heads=3)
    folds = folds_of([network])
    voxels = long_organ()
    voxels[0:3, 43:48, 0:6] = 1  # in windows that neither the coarse pass nor growth leads to
    image = image_of(folds, voxels)
    network.coarse = 108
    label_map, logits, calls = predict(folds, image, speed)
    assert label_map[1, 45, 2] == 1
    assert logits.passes.fallback
    if speed == "balanced":
        assert re.fullmatch(r"the coarse pass saw only \d+ % of the foreground .*", logits.passes.fallback)
    assert calls == logits.passes.forwards <= 1.1 * logits.passes.whole_image_forwards


def test_growth_ends_where_the_whole_image_is_as_cheap():
    """Without mirroring 575 windows are nnU-Net's, 256 those of fast, and 108 of them coarse."""
    network = OneWindow(3, heads=3)
    folds = folds_of([network], axes=())
    network.coarse = 108
    label_map, logits, calls = predict(folds, image_of(folds, long_organ()), "fast")
    passes = logits.passes
    assert (passes.whole_image_forwards, passes.windows, passes.coarse_windows) == (575, 256, 108)
    assert passes.fallback == "the foreground reaches beyond its crops"
    assert passes.growths >= 1
    assert 256 + 108 < calls == passes.forwards <= 632
    assert (label_map[8:16, 16:32, 20:150] > 0).mean() > 0.95  # the blur rounds its edges


@pytest.mark.parametrize("configuration", DIMENSIONS)
def test_kept_windows_that_find_nothing_are_followed_by_all_others(configuration):
    patch = DIMENSIONS[configuration]
    network = Blind(len(patch), heads=3, misses=0)
    folds = folds_of([network], configuration=configuration, patch=patch, axes=())
    image = image_of(folds, organ())
    misses = plan_kept_pass(folds, image).windows
    network.misses = misses
    label_map, logits, calls = predict(folds, image, "balanced")
    passes = logits.passes
    assert passes.fallback == "the coarse pass found no foreground"
    assert passes.coarse_windows == misses < passes.whole_image_windows
    assert calls == passes.forwards == passes.windows == passes.whole_image_windows
    assert label_map.any()


@pytest.mark.parametrize("speed", WAYS)
@pytest.mark.parametrize(
    ("plausible", "is_believed"), [((0.5, 10), True), ((20, 99), False), ((0.01, 0.2), False)]
)
def test_an_implausible_volume_is_followed_by_the_whole_image(plausible, is_believed, speed):
    folds, image, exact = small_organ("3d_fullres")
    logits, _, _ = assert_as_good(folds, image, speed, least=0.97, exact=exact, plausible_ml=plausible)
    if is_believed:
        assert logits.passes.fallback == ""
    else:
        assert "mL are plausible by the training cases" in logits.passes.fallback
        assert "the foreground found has 1." in logits.passes.fallback
        assert logits.passes.windows == (
            logits.passes.whole_image_windows if speed == "balanced" else windows_of_fast(image)
        )


def windows_of_fast(image):
    return len(make_grid(image.data.shape[1:], patch=(8, 16, 16), step=0.75))


@pytest.mark.parametrize("speed", WAYS)
def test_one_window_is_predicted_at_once(speed):
    folds = folds_of([Threshold(3, heads=3)], axes=() if speed == "fast" else None)
    image = image_of(folds, organ((4, 8, 8), (2, 4, 4), shape=(8, 16, 16)))
    logits, _, _ = assert_as_good(folds, image, speed)
    assert logits.passes.fallback == "a coarse pass would not save work"
    assert (logits.passes.coarse_windows, logits.passes.windows) == (0, 1)


@pytest.mark.parametrize(("axes", "coarse"), [((0, 1), 8), ((0,), 0)])
def test_balanced_skips_no_more_than_two_of_three_slices(axes, coarse):
    """Each of 20 slices is one window: a tenth of 4 or of 2 forward passes are 8 or 4 slices."""
    folds = folds_of([Threshold(2, heads=3)], configuration="2d", patch=(24, 24), axes=axes)
    voxels = np.full((20, 24, 24), 0.02)
    voxels[4:7, 5:15, 5:15] = 1
    announced = {}
    logits, _, _ = assert_as_good(
        folds, image_of(folds, voxels), "balanced", least=1, announce=announced.__setitem__
    )
    assert announced.get("the coarse pass", 0) == coarse
    assert logits.passes.fallback == ("" if coarse else "a coarse pass would not save work")


class Previous(Threshold):
    """The label in the last two channels, which are the previous stage's."""

    def forward(self, window):
        self.calls += 1
        foreground = window[:, -2:]
        return torch.cat([1 - foreground.sum(1, keepdim=True), foreground], 1)


@pytest.mark.parametrize("speed", WAYS)
def test_the_second_stage_looks_where_the_first_found_something(speed):
    folds = folds_of(
        [Previous(3, heads=3)],
        configuration="3d_cascade_fullres",
        plans=plans_with("3d_fullres", (8, 16, 16)),
    )
    shape = (40, 80, 80)
    labels = np.rint(organ((20, 40, 40), (3, 6, 6), shape=shape)).astype(np.uint8)
    image = image_of(folds, np.ones(shape), previous=labels)
    logits, label_map, _ = assert_as_good(folds, image, speed)
    np.testing.assert_array_equal(label_map, labels)
    assert logits.passes.coarse_windows == 0
    assert logits.passes.windows < logits.passes.whole_image_windows / 3
    nothing = image_of(folds, np.ones(shape), previous=np.zeros_like(labels))
    logits, label_map, _ = assert_as_good(folds, nothing, speed)
    assert logits.passes.fallback == "the previous stage found no foreground"
    assert not label_map.any()


@pytest.mark.parametrize("speed", WAYS)
def test_whole_regions_and_folds_are_kept_on_request(speed):
    networks = [Threshold(3, heads=3, blur=blur) for blur in (0, 1)]
    folds = folds_of(networks, axes=(2,))
    image = image_of(folds, organ((14, 40, 40), (3, 8, 8), shape=(32, 96, 96)))
    small = predict_logits(folds, image, speed=speed).regions
    large = predict_logits(
        folds, image, speed=speed, request=Request(whole_regions=True, per_fold=True)
    ).regions
    assert sum(region.logits.numel() for region in large) > sum(region.logits.numel() for region in small)
    for region in large:
        assert len(region.per_fold) == 2
        assert region.logits.shape[1:] == tuple(side.stop - side.start for side in region.box)
    _, logits, _ = predict(folds, image, speed, per_fold=True)
    for fold, network in enumerate(networks):
        alone = folds_of([network], axes=(2,))
        expected, _ = export(alone, image, predict_logits(alone, image, speed="exact"))
        assert dice(export(folds, image, logits, fold=fold)[0], expected) >= 0.97


def test_balanced_runs_every_window_near_its_foreground():
    """Its logits in the organ are those of exact but for rounding, and windows farther than the margin."""
    folds = folds_of([Contextual(3, heads=3)])
    image = image_of(folds, organ())
    exact = predict_logits(folds, image, speed="exact").regions[0].logits
    (region,) = predict_logits(folds, image, speed="balanced").regions
    inside = exact[(slice(None), *region.box)]
    foreground = inside[1:].amax(0) > inside[0]
    same = torch.isclose(inside.float(), region.logits.float(), rtol=0.01, atol=0.02).all(0)
    assert same[foreground].float().mean() > 0.75
    assert (inside - region.logits)[:, foreground].abs().max() < 0.5


@pytest.mark.parametrize("speed", WAYS)
def test_long_passes_are_announced_with_their_forwards(speed):
    folds = folds_of([Threshold(3, heads=3)])
    image = image_of(folds, organ((14, 40, 40), (3, 8, 8), shape=(32, 96, 96)))
    announced, windows = [], []
    folds.predictor.on_window = windows.append
    logits = predict_logits(
        folds,
        image,
        speed=speed,
        request=Request(announce=lambda text, forwards: announced.append((text, forwards))),
    )
    assert announced[0] == ("the coarse pass", logits.passes.coarse_windows)
    assert sum(forwards for _, forwards in announced) == logits.passes.forwards == sum(windows)


@pytest.mark.parametrize("speed", WAYS)
def test_a_plan_with_another_resampling_is_exported_by_nnunet(speed):
    plans = plans_with("3d_fullres", (8, 16, 16), spacing=(2.5, 0.9, 0.9))
    plans["configurations"]["3d_fullres"]["resampling_fn_probabilities_kwargs"]["order"] = 3
    folds = folds_of([Threshold(3, heads=3, blur=0)], plans=plans)
    assert_as_good(folds, image_of(folds, organ()), speed)
