"""Windows of a grid that are run in several rounds, and kept."""

from collections.abc import Callable, Sequence
from functools import partial
from math import log
from typing import TypeVar

import numpy as np
import torch

from nnunet_pancext.inference.accumulator import CPU, OUT_OF_MEMORY, Accumulator
from nnunet_pancext.inference.foreground import foreground_of_folds, is_foreground, make_background
from nnunet_pancext.inference.logits import Box, Region
from nnunet_pancext.inference.window_runner import WindowRunner
from nnunet_pancext.inference.windows import Grid, Mask, as_box, common, shifted, whole, with_channels

Result = TypeVar("Result")

DOUBT = log(4)
SLAB = 16  # slices whose foreground is found at a time, so that little memory is taken beside the sums


class Sliding:
    """Windows of `grid` over the image of `runner`, or over the part of it at `place`.

    Its result is what the windows' cores hold: there, the nearest window has been run. `done` are the
    windows so far; `looked` are those that `look` has run without mirroring, which `run` completes. Every
    forward pass has the same weight in the averages.
    """

    def __init__(
        self,
        runner: WindowRunner,
        grid: Grid,
        *,
        axes: tuple[int, ...],
        per_fold: bool = False,
        place: Box | None = None,
    ) -> None:
        self.runner, self.grid, self.axes = runner, grid, axes
        self.place = place or whole(runner.shape)
        self.data = runner.data[with_channels(self.place)]
        inside = common(self.place, runner.inside)
        assert inside is not None, "a place within the padding"
        self.inside = shifted(inside, self.place)  # what is not padding
        self.accumulator = Accumulator(runner.folds, per_fold=per_fold)
        self.done, self.looked = grid.none(), grid.none()

    def look(self, chosen: Mask) -> Mask:
        """Run the chosen windows without mirroring, and return the foreground that each sees in its core.

        That is also where foreground is a quarter as likely as background: mirroring may show more of it.
        """
        self.make_room(chosen)
        mask = np.zeros(self.grid.shape, bool)
        for box, core in zip(self.grid.boxes(chosen), self.grid.core_boxes(chosen), strict=True):
            logits = self.run_window(box, axes=(), weight=1 / 2 ** len(self.axes))
            found = foreground_of_folds(
                [part[with_channels(shifted(core, box))] for part in logits],
                of_any=self.accumulator.kept_folds > 0,
                has_regions=self.accumulator.has_regions,
                doubt=DOUBT,
            )
            mask[core] = found.cpu().numpy()
        self.looked = self.looked | chosen
        return self.runner.without_padding(mask)

    def run(self, chosen: Mask) -> None:
        """Run the chosen windows that have not been run yet, and the mirrorings of those looked at."""
        self.make_room(chosen)
        rest = 1 - 1 / 2 ** len(self.axes)
        for box in self.grid.boxes(chosen & self.looked & ~self.done):
            self.run_window(box, axes=self.axes, only_mirrored=True, weight=rest)
        for box in self.grid.boxes(chosen & ~self.looked & ~self.done):
            self.run_window(box, axes=self.axes)
        self.done = self.done | chosen

    def run_window(
        self, box: Box, *, axes: Sequence[int], only_mirrored: bool = False, weight: float = 1.0
    ) -> list[torch.Tensor]:
        """Run a window, for which there is room, and return the logits (heads, *box) of each fold."""
        logits = self._with_room(
            lambda: self.runner.run(
                box,
                folds=range(len(self.runner.folds.networks)),
                axes=axes,
                only_mirrored=only_mirrored,
                data=self.data,
            )
        )
        self.accumulator.add(box, logits, weight=weight)
        return logits

    def make_room(self, chosen: Mask) -> None:
        """Let the sums cover the chosen windows too."""
        wanted = chosen | self.looked | self.done
        if wanted.any():
            self.accumulator.cover(self.grid.hull(wanted))

    def foreground(self, *, of_any_fold: bool = False) -> Mask:
        """Return the foreground (slice, row, column) of the result, in coordinates of the grid.

        With `of_any_fold` also that of each fold alone, where the folds' logits are kept.
        """
        mask, seen = np.zeros(self.grid.shape, bool), common(self._covered, self.inside)
        if seen is None:
            return mask
        mask[seen] = self.grid.cores(self.done)[seen]
        for start in range(seen[0].start, seen[0].stop, SLAB):
            slab = (slice(start, min(start + SLAB, seen[0].stop)), *seen[1:])
            mask[slab] &= self._with_room(partial(self._is_foreground, slab, of_any_fold=of_any_fold))
        return mask

    def region(self, box: Box | None = None) -> Region | None:
        """Return the result in a box of the grid, or all of it, in coordinates of the unpadded image.

        None where no window was run.
        """
        seen = common(box or self._covered, self.inside)
        seen = seen and common(seen, self._covered)
        if seen is None:
            return None
        outside = torch.from_numpy(~self.grid.cores(self.done)[seen])

        def finished(logits: torch.Tensor) -> torch.Tensor:
            make_background(logits, outside.to(logits.device), has_regions=self.accumulator.has_regions)
            return logits.cpu()

        mean = self._with_room(lambda: finished(self.accumulator.logits(seen)))
        per_fold = self._with_room(lambda: tuple(map(finished, self.accumulator.logits_of_folds(seen))))
        origin = as_box(
            (inside.start - place.start, inside.stop - place.start)
            for inside, place in zip(self.runner.inside, self.place, strict=True)
        )
        return Region(shifted(seen, origin), mean, per_fold)

    @property
    def _covered(self) -> Box:
        box = self.accumulator.box
        assert box is not None, "no window was run"
        return box

    def _is_foreground(self, box: Box, *, of_any_fold: bool) -> Mask:
        sums = self.accumulator
        found = is_foreground(sums.logits(box), has_regions=sums.has_regions)
        for logits in sums.logits_of_folds(box) if of_any_fold else ():
            found |= is_foreground(logits, has_regions=sums.has_regions)
        return found.cpu().numpy()

    def _with_room(self, compute: Callable[[], Result]) -> Result:
        """Return what is computed; where the GPU's memory is short, the sums move to the CPU first."""
        try:
            return compute()
        except OUT_OF_MEMORY:
            if self.accumulator.device == CPU:
                raise
        self.accumulator.move_to_cpu()
        torch.cuda.empty_cache()
        return compute()
