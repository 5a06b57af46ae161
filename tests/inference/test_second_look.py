"""The windows near what the coarse pass found, run without mirroring before they are mirrored."""

import numpy as np
import pytest
import torch
from contracts.loaded_folds import Threshold, folds_of, image_of
from torch import nn

from nnunet_pancext.inference.predict import predict_logits
from nnunet_pancext.inference.sliding import Sliding
from nnunet_pancext.inference.window_runner import WindowRunner
from nnunet_pancext.inference.windows import stock_grid

PATCH = (8, 16, 16)


class WrongAtEdges(Threshold):
    """A network that takes the last rows of its window for an organ, but not so surely that its mean does."""

    def forward(self, window: torch.Tensor) -> torch.Tensor:
        logits = super().forward(window)
        logits[:, 1, ..., -2:, :] += 5
        return logits


class Lopsided(nn.Module):
    """A network whose logits depend on where in the window a voxel lies: each mirroring gives others."""

    def forward(self, window: torch.Tensor) -> torch.Tensor:
        ramp = torch.arange(window.shape[-1]) / window.shape[-1] + 2 * torch.arange(window.shape[-2])[:, None]
        return torch.cat([window[:, :1] * 0, window[:, :1] + ramp, window[:, :1] - ramp], 1)


def organ():
    voxels = np.full((20, 64, 64), 0.02)
    voxels[8:12, 10:16, 10:16] = 1
    return voxels


def test_false_positives_at_edges_of_coarse_windows_are_not_mirrored():
    network = WrongAtEdges(3, heads=3, blur=0)
    folds = folds_of([network], patch=PATCH)
    image = image_of(folds, organ())
    passes = predict_logits(folds, image, speed="balanced").passes
    grid = stock_grid(folds, image.data.shape[1:])
    expected = grid.near(organ() > 0.5, (2, 7, 7))  # 5 mm
    # windows at the end of the image are wrong in their cores too
    expected |= grid.near(np.arange(64)[None, :, None] + np.zeros_like(organ()) >= 62, (2, 7, 7))
    assert passes.windows == expected.sum() < len(grid) / 2
    assert passes.forwards == network.calls
    # the coarse pass, a look at windows near its findings, and the 7 mirrorings of the windows that are kept
    coarse = passes.forwards - passes.coarse_windows - 8 * passes.windows
    assert coarse == 0


@pytest.mark.parametrize("axes", [(0,), (1, 2), (0, 1, 2)])
def test_a_look_and_its_mirrorings_add_up_to_the_whole(axes):
    folds = folds_of([Lopsided()], patch=PATCH, axes=axes)
    image = image_of(folds, organ())
    runner = WindowRunner(folds, image)
    grid = stock_grid(folds, image.data.shape[1:])
    at_once = Sliding(runner, grid, axes=axes)
    at_once.run(grid.all())
    forwards = runner.forwards
    in_two = Sliding(runner, grid, axes=axes)
    in_two.look(grid.all())
    assert runner.forwards == forwards + len(grid)
    in_two.run(grid.all())
    assert runner.forwards == 2 * forwards == 2 * len(grid) * 2 ** len(axes)
    first, second = at_once.region().logits, in_two.region().logits
    # at the image's corners nnU-Net's weights are too small for half precision to divide
    is_weighty = at_once.accumulator.weights > 1e-4
    assert is_weighty.float().mean() > 0.9
    torch.testing.assert_close(second[:, is_weighty], first[:, is_weighty], rtol=0.01, atol=0.02)


def test_a_look_returns_what_each_window_sees_in_its_core():
    folds = folds_of([WrongAtEdges(3, heads=3, blur=0)], patch=PATCH)
    image = image_of(folds, organ())
    grid = stock_grid(folds, image.data.shape[1:])
    sliding = Sliding(WindowRunner(folds, image), grid, axes=folds.mirroring_axes)
    expected = organ() > 0.5
    expected[:, 62:] = True  # the image's own edge is in a core
    np.testing.assert_array_equal(sliding.look(grid.all()), expected)


class Doubtful(Threshold):
    """A network that finds a second organ in its coarse passes, and then only where slices are mirrored."""

    def __init__(self, coarse: int) -> None:
        super().__init__(3, heads=3, blur=0)
        self.coarse = coarse

    def forward(self, window: torch.Tensor) -> torch.Tensor:
        logits = super().forward(window)
        is_mirrored = window[0, 1, 0, 0, 0] > window[0, 1, -1, -1, -1]  # it counts voxels
        if self.calls > self.coarse and not is_mirrored:
            logits[:, 0] += 5 * window[:, 2]  # a background that wins by 1 where the third channel marks it
        return logits


def test_what_is_likely_without_mirroring_is_mirrored():
    second = np.zeros((20, 64, 64))
    second[8:12, 46:52, 46:52] = 1
    voxels = np.stack(
        [np.maximum(organ(), second), np.linspace(0, 1, second.size).reshape(second.shape), second]
    )
    grid = stock_grid(folds_of([Threshold(3, heads=3)], patch=PATCH, channels=3), second.shape)
    network = Doubtful(
        int(np.prod([-(-length // size) for length, size in zip(grid.shape, PATCH, strict=True)]))
    )
    folds = folds_of([network], patch=PATCH, channels=3)
    (region,) = predict_logits(folds, image_of(folds, voxels), speed="balanced").regions
    found = np.zeros(second.shape, bool)
    found[region.box] = (region.logits[1] > region.logits[0]).numpy()
    np.testing.assert_array_equal(found, (organ() > 0.5) | (second > 0))
