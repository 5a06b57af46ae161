"""Runs windows of one image through the networks, and counts them."""

from collections.abc import Sequence

import numpy as np
import torch
from acvl_utils.cropping_and_padding.padding import pad_nd_image

from nnunet_pancext.inference.logits import Box
from nnunet_pancext.inference.prepared_image import PreparedImage
from nnunet_pancext.inference.trained_folds import LoadedFolds
from nnunet_pancext.inference.windows import Mask, Triple, as_box, size_of, with_channels


class WindowRunner:
    """The windows of an image, padded as nnU-Net pads it.

    Attributes:
        data: the padded image (channels, slice, row, column), on the CPU.
        inside: the image's place in it.
        forwards: the number of forward passes so far.
    """

    def __init__(
        self, folds: LoadedFolds, image: PreparedImage, *, half: torch.dtype = torch.float16
    ) -> None:
        self.folds, self.half = folds, half
        self.data, slicer = pad_nd_image(image.data, folds.patch_size, "constant", {"value": 0}, True, None)
        self.inside: Box = as_box(
            side.indices(length)[:2] for side, length in zip(slicer[1:], self.shape, strict=True)
        )
        self.forwards = 0

    @property
    def shape(self) -> Triple:
        """The size of the padded image (slice, row, column)."""
        slices, rows, columns = self.data.shape[1:]
        return slices, rows, columns

    def without_padding(self, mask: Mask) -> Mask:
        """Return a mask of the padded image without what lies in the padding."""
        kept = np.zeros_like(mask)
        kept[self.inside] = mask[self.inside]
        return kept

    def run(
        self,
        box: Box,
        *,
        folds: Sequence[int],
        axes: Sequence[int],
        only_mirrored: bool = False,
        data: torch.Tensor | None = None,
    ) -> list[torch.Tensor]:
        """Return the logits (heads, *box) of a window for each of the folds, averaged over mirrorings.

        The window is one of `data` if given, else of the image. With `only_mirrored` the mean is that of the
        mirrored views alone.
        """
        window = (self.data if data is None else data)[with_channels(box)]
        window = window.reshape(1, len(window), *size_of(box)[-len(self.folds.patch_size) :])
        window = window.contiguous()
        logits = []
        for fold in folds:
            found = self.folds.logits_of_window(
                window, fold=fold, axes=axes, only_mirrored=only_mirrored, half=self.half
            )
            logits.append(found.reshape(len(found), *size_of(box)))
            self.forwards += 2 ** len(axes) - only_mirrored
        return logits
