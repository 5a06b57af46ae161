"""Sums of overlapping windows over a part of an image, in half precision as nnU-Net keeps them."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from nnunetv2.inference.sliding_window_prediction import compute_gaussian

from nnunet_pancext.errors import PancextError
from nnunet_pancext.inference.foreground import NOT_FINITE, make_unseen
from nnunet_pancext.inference.logits import Box
from nnunet_pancext.inference.trained_folds import LoadedFolds
from nnunet_pancext.inference.windows import shifted, size_of, with_channels

GAUSSIAN: dict[str, Any] = {"sigma_scale": 1.0 / 8, "value_scaling_factor": 10}  # of nnU-Net's prediction
CPU = torch.device("cpu")
OUT_OF_MEMORY = torch.cuda.OutOfMemoryError


class Accumulator:
    """The weighted mean of windows, over folds and, if asked for, of each fold.

    The sums are kept on the networks' GPU while both fit into its memory, else on the CPU.
    """

    def __init__(self, folds: LoadedFolds, *, per_fold: bool = False) -> None:
        self.patch_size = folds.patch_size
        self.device = CPU if folds.device.type == "mps" else folds.device  # as nnU-Net does
        self.heads = folds.labels.num_segmentation_heads
        self.has_regions: bool = folds.labels.has_regions
        self.kept_folds = len(folds.networks) if per_fold else 0
        self.box: Box | None = None
        self.sums = self.weights = torch.empty(0)

    def cover(self, box: Box) -> None:
        """Make room for windows inside a box, which must hold what is already covered."""
        if box == self.box:
            return
        shape = size_of(box)
        sums = self._zeros(self.heads * (1 + self.kept_folds), *shape)
        weights = self._zeros(*shape)  # after which both, and what there was, may have moved to the CPU
        sums = sums.to(self.device)
        if self.box is not None:
            inner = shifted(self.box, box)
            sums[with_channels(inner)] = self.sums
            weights[inner] = self.weights
        self.box, self.sums, self.weights = box, sums, weights

    def add(self, window: Box, logits: Sequence[torch.Tensor], *, weight: float = 1.0) -> None:
        """Add the logits (heads, *window) of each fold, with this weight beside nnU-Net's Gaussian one."""
        assert self.box is not None
        gaussian = compute_gaussian(self.patch_size, device=self.device, **GAUSSIAN) * weight
        mean = logits[0] if len(logits) == 1 else torch.stack([part.float() for part in logits]).mean(0)
        parts = torch.cat([mean, *logits]) if self.kept_folds else mean
        inner = shifted(window, self.box)
        self.sums[with_channels(inner)] += parts.to(self.device) * gaussian
        self.weights[inner] += gaussian

    def logits(self, box: Box) -> torch.Tensor:
        """Return the logits (heads, *box) averaged over windows and folds; background where there is none.

        Raises:
            PancextError: a sum exceeds half precision, or is NaN.
        """
        return self._mean(box, 0)

    def logits_of_folds(self, box: Box) -> Iterator[torch.Tensor]:
        """Yield the logits of each fold, if they are kept."""
        for fold in range(self.kept_folds):
            yield self._mean(box, 1 + fold)

    def move_to_cpu(self) -> None:
        self.device = CPU
        self.sums, self.weights = self.sums.cpu(), self.weights.cpu()

    def _mean(self, box: Box, part: int) -> torch.Tensor:
        assert self.box is not None
        inner = shifted(box, self.box)
        weights = self.weights[inner]
        logits = self.sums[self.heads * part : self.heads * (part + 1)][with_channels(inner)] / weights
        make_unseen(logits, weights == 0, has_regions=self.has_regions)
        if not logits.isfinite().all():
            raise PancextError(NOT_FINITE)
        return logits

    def _zeros(self, *shape: int) -> torch.Tensor:
        try:
            return torch.zeros(shape, dtype=torch.half, device=self.device)
        except OUT_OF_MEMORY:
            if self.device == CPU:
                raise
            self.move_to_cpu()
            return torch.zeros(shape, dtype=torch.half)
