"""Sums of windows: those of nnU-Net, and on the CPU where the GPU's memory does not hold them."""

import pytest
import torch
from contracts.loaded_folds import Threshold, folds_of, image_of

from nnunet_pancext.errors import PancextError
from nnunet_pancext.inference import accumulator as module
from nnunet_pancext.inference.accumulator import Accumulator
from nnunet_pancext.inference.logits import Request
from nnunet_pancext.inference.predict import predict_logits
from nnunet_pancext.inference.sliding import Sliding
from nnunet_pancext.inference.window_runner import WindowRunner
from nnunet_pancext.inference.windows import stock_grid

SHAPE = (14, 30, 40)


@pytest.fixture(scope="module")
def noise():
    return torch.rand((1, *SHAPE), generator=torch.Generator().manual_seed(0)).numpy() + 0.1


def slide(folds, image, *rounds, **options):
    """Run windows of the grid in rounds: the slices of their axis 2."""
    runner = WindowRunner(folds, image)
    grid = stock_grid(folds, image.data.shape[1:])
    sliding = Sliding(runner, grid, axes=folds.mirroring_axes, **options)
    for columns in rounds:
        chosen = grid.none()
        chosen[:, :, columns] = True
        sliding.run(chosen)
    return sliding


@pytest.mark.parametrize(("configuration", "patch"), [("3d_fullres", (8, 16, 16)), ("2d", (16, 24))])
def test_all_windows_give_nnunets_logits_bit_for_bit(configuration, patch, noise):
    folds = folds_of([Threshold(len(patch), heads=3)], configuration=configuration, patch=patch)
    image = image_of(folds, noise)
    region = slide(folds, image, slice(None)).region()
    assert torch.equal(region.logits, predict_logits(folds, image, speed="exact").regions[0].logits)


def test_rounds_are_added_to_what_there_is(noise):
    folds = folds_of([Threshold(3, heads=3)])
    image = image_of(folds, noise)
    sliding = slide(folds, image, slice(1, 2), slice(3, 4), slice(0, None))
    expected = predict_logits(folds, image, speed="exact").regions[0].logits
    assert sliding.done.all()
    torch.testing.assert_close(sliding.region().logits, expected, rtol=0, atol=0.05)  # another order of sums


def test_what_lies_outside_of_the_cores_is_background(noise):
    folds = folds_of([Threshold(3, heads=3)])
    image = image_of(folds, noise + 1)  # foreground everywhere
    sliding = slide(folds, image, slice(0, 1), slice(3, 4))
    mask = sliding.foreground()
    edges = sliding.grid.core_edges(2)
    assert mask[..., : edges[1]].all()
    assert mask[..., edges[3] :].all()
    assert not mask[..., edges[1] : edges[3]].any()
    logits = sliding.region().logits
    highest = logits.argmax(0).numpy()
    assert ((highest > 0) == mask).all()
    window = sliding.grid.size[2]
    between = logits[..., window : sliding.grid.starts[2][3]]  # which no window covers
    assert (between.float().softmax(0)[0] > 0.999).all()
    assert sliding.region((slice(0, 2), slice(0, 2), slice(0, 3))).logits.shape == (3, 2, 2, 3)


def test_the_mean_is_that_of_the_folds(noise):
    folds = folds_of([Threshold(3, heads=3, blur=blur) for blur in (0, 1)])
    image = image_of(folds, noise)
    sliding = slide(folds, image, slice(0, 2), per_fold=True)
    region = sliding.region()
    for blur, logits in zip((0, 1), region.per_fold, strict=True):
        alone = folds_of([Threshold(3, heads=3, blur=blur)])
        assert torch.equal(slide(alone, image, slice(0, 2)).region().logits, logits)
    sums, box = sliding.accumulator, sliding.accumulator.box
    heavy = sums.weights > 0.01  # weights in the windows' corners are too small for half precision
    mean = torch.stack([part.float() for part in sums.logits_of_folds(box)]).mean(0)
    torch.testing.assert_close(sums.logits(box).float()[:, heavy], mean[:, heavy], rtol=0, atol=0.05)


class Gpu:
    """A device whose memory holds so many tensors, kept on the CPU."""

    def __init__(self, monkeypatch, tensors):
        self.left, self.zeros = tensors, torch.zeros
        self.device = torch.device("cpu", 0)  # unlike torch.device("cpu"), so that it can be told apart
        monkeypatch.setattr(module.torch, "zeros", self.allocate)

    def allocate(self, *args, **options):
        if options.get("device") == self.device:
            if not self.left:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            self.left -= 1
        return self.zeros(*args, **options)


@pytest.mark.parametrize("tensors", [0, 1, 2, 3])
def test_sums_move_to_the_cpu_where_memory_is_short(tensors, noise, monkeypatch):
    folds = folds_of([Threshold(3, heads=3)])
    image = image_of(folds, noise)
    expected = slide(folds, image, slice(0, 2), slice(None)).region().logits
    gpu = Gpu(monkeypatch, tensors)
    folds.device = gpu.device
    sliding = slide(folds, image, slice(0, 2), slice(None))
    assert sliding.accumulator.device == module.CPU != gpu.device
    assert torch.equal(sliding.region().logits, expected)


def test_sums_make_room_for_the_network(noise, monkeypatch):
    class Large(Threshold):
        is_short = True

        def forward(self, window):
            if self.is_short and self.calls == 3:
                self.is_short = False
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return super().forward(window)

    folds = folds_of([Threshold(3, heads=3)])
    image = image_of(folds, noise)
    expected = slide(folds, image, slice(None)).region().logits
    folds.networks = [Large(3, heads=3)]
    folds.device = Gpu(monkeypatch, 2).device
    sliding = slide(folds, image, slice(None))
    assert sliding.accumulator.device == module.CPU
    assert torch.equal(sliding.region().logits, expected)
    folds.networks, folds.device = [Large(3, heads=3)], module.CPU
    with pytest.raises(torch.OutOfMemoryError):
        slide(folds, image, slice(None))


@pytest.mark.parametrize("method", ["foreground", "region"])
def test_sums_make_room_for_the_result(method, noise, monkeypatch):
    folds = folds_of([Threshold(3, heads=3, blur=blur) for blur in (0, 1)])
    image = image_of(folds, noise)
    expected = slide(folds, image, slice(None), per_fold=True)
    folds.device = Gpu(monkeypatch, 2).device
    sliding = slide(folds, image, slice(None), per_fold=True)
    original = Accumulator._mean

    def mean(self, box, part):
        if self.device != module.CPU:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return original(self, box, part)

    monkeypatch.setattr(Accumulator, "_mean", mean)
    result = getattr(sliding, method)()
    assert sliding.accumulator.device == module.CPU
    if method == "foreground":
        assert (result == expected.foreground()).all()
    else:
        of_expected = expected.region()
        for ours, theirs in zip(
            (result.logits, *result.per_fold), (of_expected.logits, *of_expected.per_fold), strict=True
        ):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize("speed", ["exact", "balanced", "fast"])
@pytest.mark.parametrize("factor", [1e5, float("nan")])
def test_logits_that_are_not_finite_in_half_precision_are_refused(speed, factor, noise):
    class Diverged(Threshold):
        def forward(self, window):
            return factor * super().forward(window)

    folds = folds_of([Diverged(3, heads=3)])
    with pytest.raises(PancextError, match="logits are not finite in half precision"):
        predict_logits(folds, image_of(folds, noise), speed=speed, request=Request(whole_regions=True))


def test_room_is_made_once(noise):
    folds = folds_of([Threshold(3, heads=3)])
    accumulator = Accumulator(folds)
    box = (slice(0, 8), slice(0, 16), slice(0, 16))
    accumulator.cover(box)
    sums = accumulator.sums
    accumulator.cover(box)
    assert accumulator.sums is sums
