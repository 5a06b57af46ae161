"""What a way of prediction returns: logits where they were computed, and what was run for them."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

Box = tuple[slice, slice, slice]
"""A part of a preprocessed image (slice, row, column), with start and stop."""


@dataclass(frozen=True)
class Region:
    """Logits (heads, *box) inside a box of the preprocessed image, averaged over folds.

    Voxels that no window was run for have the logits of background. `per_fold` holds the logits of each
    fold, where they were asked for.
    """

    box: Box
    logits: torch.Tensor
    per_fold: tuple[torch.Tensor, ...] = ()


@dataclass
class Passes:
    """How many windows and forward passes a prediction took, and why.

    A window counts once, however many folds and mirrorings it has; `forwards` counts each. `whole_image` are
    the figures of nnU-Net's own prediction.
    """

    windows: int = 0  # that the result is made of
    coarse_windows: int = 0  # that looked for the foreground; without mirroring also in `windows`
    forwards: int = 0  # of both passes
    whole_image_windows: int = 0
    whole_image_forwards: int = 0
    growths: int = 0  # rounds of further windows, because the foreground reached the edge of those run
    fallback: str = ""  # why the whole image was run after all
    bfloat16: bool = False  # whether convolutions were computed in it
    seconds: dict[str, float] = field(default_factory=dict)  # by step: coarse pass, full pass

    def add_seconds(self, step: str, seconds: float) -> None:
        """Add to the seconds of a step."""
        self.seconds[step] = self.seconds.get(step, 0.0) + seconds

    @property
    def windows_left_out(self) -> int:
        return max(0, self.whole_image_windows - self.windows)


@dataclass(frozen=True)
class Logits:
    """All regions of one preprocessed image of `shape`; everything outside of them is background.

    `is_whole` where nnU-Net's own path gave one region over the whole image. Otherwise `run_also` also runs
    what is near a mask (slice, row, column) of the image and returns the logits then; None where that has
    been run.
    """

    shape: tuple[int, int, int]
    regions: tuple[Region, ...]
    passes: Passes
    is_whole: bool = False
    run_also: Callable[[NDArray[np.bool_]], "Logits | None"] = lambda mask: None


@dataclass(frozen=True)
class Request:
    """What to compute.

    Args:
        per_fold: keep the logits of each fold too.
        whole_regions: return all logits that were computed, for probabilities, not only those around the
            foreground.
        plausible_ml: smallest and largest volume of the foreground that is believed; None if unknown.
        announce: called before a long pass with a sentence about what is run, and its forward passes.
    """

    per_fold: bool = False
    whole_regions: bool = False
    plausible_ml: tuple[float, float] | None = None
    announce: Callable[[str, int], None] = lambda text, forwards: None
