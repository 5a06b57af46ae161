"""Rounds of windows near the foreground, until no further window is near it."""

from math import ceil

from nnunet_pancext.inference.foreground import large_components, voxel_spacing_mm
from nnunet_pancext.inference.logits import Logits, Passes, Request
from nnunet_pancext.inference.prepared_image import PreparedImage
from nnunet_pancext.inference.sliding import Sliding
from nnunet_pancext.inference.windows import Mask, bounding_box, grown

MARGIN_MM = 5.0
RIM = 2  # voxels around the foreground, so that its edge can be interpolated


class NearForeground:
    """Runs those windows of `sliding` whose core lies within MARGIN_MM of the foreground."""

    def __init__(self, sliding: Sliding, image: PreparedImage, request: Request, passes: Passes) -> None:
        self.sliding, self.image, self.request, self.passes = sliding, image, request, passes
        self.spacing_mm = voxel_spacing_mm(sliding.runner.folds, image)
        self.reach = [ceil(MARGIN_MM / length) for length in self.spacing_mm]

    def windows(self, mask: Mask) -> Mask:
        """Choose the windows near a mask (slice, row, column) of the grid."""
        return self.sliding.grid.near(mask, self.reach)

    def run(self, mask: Mask) -> Mask:
        """Run the windows near a mask, then those near the result's foreground, which is returned."""
        foreground = self.run_windows(self.windows(mask), "windows near the foreground")
        while True:
            near = self.windows(large_components(foreground, self.spacing_mm))
            if not (near & ~self.sliding.done).any():
                return foreground
            self.passes.growths += 1
            foreground = self.run_windows(near, "further windows, which the foreground reaches")

    def run_windows(self, chosen: Mask, what: str) -> Mask:
        """Run the chosen windows that have not been run, and return the foreground of all."""
        sliding = self.sliding
        further = chosen & ~sliding.done
        if further.any():
            folds = sliding.runner.folds
            a_window = 2 ** len(sliding.axes) * len(folds.networks)
            looked = int((further & sliding.looked).sum()) * len(folds.networks)
            self.request.announce(what, int(further.sum()) * a_window - looked)
            sliding.run(chosen)
        return sliding.foreground()

    def result(self, foreground: Mask) -> Logits:
        """Return the logits around the foreground, or all that were computed, as requested."""
        self.passes.windows = int(self.sliding.done.sum())
        self.passes.forwards = self.sliding.runner.forwards
        self.passes.coarse_windows += int((self.sliding.looked & ~self.sliding.done).sum())
        region = None
        if self.request.whole_regions:
            region = self.sliding.region()
        elif foreground.any():
            place = grown(bounding_box(foreground), (RIM,) * 3, within=foreground.shape)
            region = self.sliding.region(place)
        slices, rows, columns = self.image.data.shape[1:]
        return Logits((slices, rows, columns), () if region is None else (region,), self.passes)
