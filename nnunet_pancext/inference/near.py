"""Rounds of windows near the foreground, until no further window is near it."""

from math import ceil
from time import monotonic

import numpy as np
import torch

from nnunet_pancext.inference.foreground import large_components, voxel_spacing_mm
from nnunet_pancext.inference.logits import Logits, Passes, Request
from nnunet_pancext.inference.prepared_image import PreparedImage
from nnunet_pancext.inference.sliding import Sliding
from nnunet_pancext.inference.trained_folds import threads_of_nnunet
from nnunet_pancext.inference.windows import Mask, bounding_box, grown

MARGIN_MM = 5.0
RIM = 2  # voxels around the foreground, so that its edge can be interpolated


class NearForeground:
    """Runs those windows of `sliding` whose core lies within MARGIN_MM of the foreground.

    That of any fold counts where the folds' own logits are kept. `reached` is the foreground so far.
    """

    def __init__(self, sliding: Sliding, image: PreparedImage, request: Request, passes: Passes) -> None:
        self.sliding, self.image, self.request, self.passes = sliding, image, request, passes
        self.spacing_mm = voxel_spacing_mm(sliding.runner.folds, image)
        self.reach = [ceil(MARGIN_MM / length) for length in self.spacing_mm]
        self.coarse_windows = 0  # of a coarse pass before these windows
        self.reached: Mask = np.zeros(sliding.grid.shape, bool)

    @property
    def foreground_voxels(self) -> int:
        """How many voxels are foreground in the mean of the folds."""
        mask = self.sliding.foreground() if self.request.per_fold else self.reached
        return int(mask.sum())

    def windows(self, mask: Mask) -> Mask:
        """Choose the windows near a mask (slice, row, column) of the grid."""
        return self.sliding.grid.near(mask, self.reach)

    def run(self, mask: Mask) -> None:
        """Run the windows near a mask, then those near the result's foreground, until none is left."""
        self.run_windows(self.windows(mask), "windows near the foreground")
        while True:
            near = self.windows(large_components(self.reached, self.spacing_mm))
            if not (near & ~self.sliding.done).any():
                return
            self.passes.growths += 1
            self.run_windows(near, "further windows, which the foreground reaches")

    def run_windows(self, chosen: Mask, what: str) -> None:
        """Run the chosen windows that have not been run."""
        started = monotonic()
        sliding = self.sliding
        further = chosen & ~sliding.done
        if further.any():
            folds = sliding.runner.folds
            a_window = 2 ** len(sliding.axes) * len(folds.networks)
            looked = int((further & sliding.looked).sum()) * len(folds.networks)
            self.request.announce(what, int(further.sum()) * a_window - looked)
            sliding.run(chosen)
        self.reached = sliding.foreground(of_any_fold=True)
        self.passes.add_seconds("full pass", monotonic() - started)

    @torch.inference_mode()
    def run_also(self, mask: Mask) -> Logits | None:
        """Run what is near a mask of the unpadded image too; None where all of it has been run."""
        padded = np.zeros(self.sliding.grid.shape, bool)
        padded[self.sliding.inside] = mask
        if not (self.windows(padded) & ~self.sliding.done).any():
            return None
        with threads_of_nnunet():
            self.run(padded)
            return self.result()

    def result(self) -> Logits:
        """Return the logits around the foreground, or all that were computed, as requested."""
        sliding, passes = self.sliding, self.passes
        passes.windows, passes.forwards = int(sliding.done.sum()), sliding.runner.forwards
        passes.coarse_windows = self.coarse_windows + int((sliding.looked & ~sliding.done).sum())
        region = None
        if self.request.whole_regions:
            region = sliding.region()
        elif self.reached.any():
            place = grown(bounding_box(self.reached), (RIM,) * 3, within=self.reached.shape)
            region = sliding.region(place)
        slices, rows, columns = self.image.data.shape[1:]
        regions = () if region is None else (region,)
        return Logits((slices, rows, columns), regions, passes, run_also=self.run_also)
