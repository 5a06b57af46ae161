"""The coarse pass: few windows, without mirroring, that find where the foreground is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import torch

from nnunet_pancext.inference.foreground import foreground_of_folds
from nnunet_pancext.inference.logits import Box
from nnunet_pancext.inference.prepared_image import PreparedImage
from nnunet_pancext.inference.trained_folds import LoadedFolds
from nnunet_pancext.inference.window_runner import WindowRunner
from nnunet_pancext.inference.windows import Grid, Mask, make_grid, padded_shape, stock_grid

SLICES_A_STEP = 3  # of which `balanced` looks at one or more, in 2D


@dataclass(frozen=True)
class CoarsePass:
    """The windows of `grid` that are run, by the networks `folds`.

    Where `is_kept` they are windows of nnU-Net's own grid, and their logits are worth keeping.
    """

    grid: Grid
    chosen: Mask
    folds: tuple[int, ...]
    is_kept: bool = False

    @property
    def windows(self) -> int:
        return int(self.chosen.sum())

    @property
    def forwards(self) -> int:
        return self.windows * len(self.folds)

    def find(
        self,
        runner: WindowRunner,
        *,
        of_any_fold: bool = False,
        run: Callable[[Box], list[torch.Tensor]] | None = None,
    ) -> Mask:
        """Return the foreground (slice, row, column) of the padded image: where any window sees some.

        It is that of the folds' mean, or of any fold. A slice between two of those that were looked at takes
        the foreground of both. `run` returns a window's logits for each fold, by default without mirroring.
        """
        has_regions = runner.folds.labels.has_regions
        mask = np.zeros(self.grid.shape, bool)
        for box in self.grid.boxes(self.chosen):
            logits = run(box) if run else runner.run(box, folds=self.folds, axes=())
            found = foreground_of_folds(logits, of_any=of_any_fold, has_regions=has_regions)
            mask[box] |= found.cpu().numpy()
        if self.grid.size[0] == 1:
            _fill_slices(mask, self.chosen.any((1, 2)).nonzero()[0])
        return runner.without_padding(mask)


def plan_coarse_pass(
    folds: LoadedFolds,
    image: PreparedImage,
    *,
    networks: Sequence[int],
    most_forwards: float,
    every: int = 1,
    least_every: int | None = None,
) -> CoarsePass | None:
    """Return a pass of windows that touch each other; None if it takes more than `most_forwards`.

    In 2D as many slices are looked at as fit, but no more than one of `every`; None if they are fewer than
    one of `least_every`.
    """
    patch = folds.patch_size
    grid = make_grid(padded_shape(image.data.shape[1:], patch=patch), patch=patch, step=1.0)
    chosen = grid.all()
    if len(patch) == 2:
        slices, a_slice = grid.shape[0], len(grid) // grid.shape[0] * len(networks)
        affordable = int(most_forwards // a_slice)
        if least_every and affordable < ceil(slices / least_every):
            return None
        chosen &= _spread(slices, min(ceil(slices / every), affordable))
    planned = CoarsePass(grid, chosen, tuple(networks))
    return planned if 0 < planned.forwards <= most_forwards else None


def plan_kept_pass(folds: LoadedFolds, image: PreparedImage) -> CoarsePass:
    """Return a pass of nnU-Net's own windows, by every fold, that cover the image or, in 2D, some slices."""
    grid = stock_grid(folds, image.data.shape[1:])
    chosen = grid.covering()
    if grid.size[0] == 1:
        slices = grid.shape[0]
        chosen &= _spread(slices, ceil(slices / SLICES_A_STEP))
    return CoarsePass(grid, chosen, tuple(range(len(folds.networks))), is_kept=True)


def foreground_of_previous_stage(image: PreparedImage, runner: WindowRunner) -> Mask:
    """Return where the previous stage of nnU-Net's cascade has foreground, in the padded image."""
    return (runner.data[-image.num_previous :] > 0).any(0).numpy()


def _spread(slices: int, chosen: int) -> Mask:
    """Choose the windows of that many slices, evenly spread."""
    mask = np.zeros((slices, 1, 1), bool)
    mask[((np.arange(chosen) + 0.5) * slices / max(chosen, 1)).astype(int)] = True
    return mask


def _fill_slices(mask: Mask, seen: np.ndarray) -> None:
    after = np.searchsorted(seen, np.arange(len(mask)))
    for index, position in enumerate(after):
        if position == len(seen) or seen[position] != index:
            neighbours = seen[max(0, position - 1) : position + 1]
            mask[index] = mask[neighbours].any(0)
