"""Windows of a grid that are run in several rounds, and kept."""

import numpy as np
import torch

from nnunet_pancext.inference.accumulator import CPU, OUT_OF_MEMORY, Accumulator
from nnunet_pancext.inference.foreground import is_foreground, make_background
from nnunet_pancext.inference.logits import Box, Region
from nnunet_pancext.inference.window_runner import WindowRunner
from nnunet_pancext.inference.windows import Grid, Mask, as_box, common, shifted, whole, with_channels

SLAB = 16  # slices whose foreground is found at a time, so that little memory is taken beside the sums


class Sliding:
    """Windows of `grid` over the image of `runner`, or over the part of it at `place`.

    Its result is what the windows' cores hold: there, the nearest window has been run. `done` are the
    windows so far.
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
        self.done = grid.none()

    def run(self, chosen: Mask) -> None:
        """Run the chosen windows that have not been run yet."""
        self.make_room(chosen)
        for box in self.grid.boxes(chosen & ~self.done):
            self.run_window(box)
        self.done = self.done | chosen

    def run_window(self, box: Box) -> list[torch.Tensor]:
        """Run a window, for which there is room, and return the logits (heads, *box) of each fold."""
        logits = self._logits(box)
        self.accumulator.add(box, logits)
        return logits

    def make_room(self, chosen: Mask) -> None:
        """Let the sums cover the chosen windows too."""
        if (chosen | self.done).any():
            self.accumulator.cover(self.grid.hull(chosen | self.done))

    def foreground(self) -> Mask:
        """Return the foreground (slice, row, column) of the result, in coordinates of the grid."""
        mask, seen = np.zeros(self.grid.shape, bool), common(self._covered, self.inside)
        if seen is None:
            return mask
        mask[seen] = self.grid.cores(self.done)[seen]
        for start in range(seen[0].start, seen[0].stop, SLAB):
            slab = (slice(start, min(start + SLAB, seen[0].stop)), *seen[1:])
            logits = self.accumulator.logits(slab)
            found = is_foreground(logits, has_regions=self.accumulator.has_regions)
            mask[slab] &= found.cpu().numpy()
        return mask

    def region(self, box: Box | None = None) -> Region | None:
        """Return the result in a box of the grid, or all of it, in coordinates of the unpadded image.

        None where no window was run.
        """
        seen = common(box or self._covered, self.inside)
        seen = seen and common(seen, self._covered)
        if seen is None:
            return None
        outside = torch.from_numpy(~self.grid.cores(self.done)[seen]).to(self.accumulator.device)

        def finished(logits: torch.Tensor) -> torch.Tensor:
            make_background(logits, outside, has_regions=self.accumulator.has_regions)
            return logits.cpu()

        mean = finished(self.accumulator.logits(seen))
        per_fold = tuple(map(finished, self.accumulator.logits_of_folds(seen)))
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

    def _logits(self, box: Box) -> list[torch.Tensor]:
        folds = range(len(self.runner.folds.networks))
        try:
            return self.runner.run(box, folds=folds, axes=self.axes, data=self.data)
        except OUT_OF_MEMORY:
            if self.accumulator.device == CPU:
                raise
        self.accumulator.move_to_cpu()
        torch.cuda.empty_cache()
        return self.runner.run(box, folds=folds, axes=self.axes, data=self.data)
