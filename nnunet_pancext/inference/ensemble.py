"""Models whose probabilities are averaged look at the same places."""

from collections.abc import Sequence

import numpy as np

from nnunet_pancext.inference.foreground import foreground_of_regions
from nnunet_pancext.inference.logits import Logits
from nnunet_pancext.inference.prepared_image import PreparedImage
from nnunet_pancext.inference.trained_folds import LoadedFolds
from nnunet_pancext.inference.windows import Mask

Member = tuple[LoadedFolds, PreparedImage, Logits]


def look_at_the_same(members: Sequence[Member]) -> list[Logits]:
    """Run each model also where another has found foreground, until nothing is left to run.

    A model that was not run at a voxel counts as certain background there, so that without this the mean
    would lose what one model finds and another only thinks possible. What is foreground in the mean is
    foreground of one model at least.
    """
    logits = [member[2] for member in members]
    is_changed = True
    while is_changed:
        is_changed = False
        for index, (folds, image, _) in enumerate(members):
            wanted = np.zeros(logits[index].shape, bool)
            for (other_folds, other_image, _), found in zip(members, logits, strict=True):
                if other_image is not image:
                    mask = foreground_of_regions(
                        found.regions, found.shape, has_regions=other_folds.labels.has_regions
                    )
                    _mark(wanted, mask, order=_order(other_folds, folds))
            further = logits[index].run_also(wanted)
            if further is not None:
                logits[index], is_changed = further, True
    return logits


def _order(source: LoadedFolds, target: LoadedFolds) -> list[int]:
    """Return which axis of one model's preprocessed image is each axis of another's."""
    back = source.plans.transpose_backward
    return [back[axis] for axis in target.plans.transpose_forward]


def _mark(target: Mask, source: Mask, *, order: Sequence[int]) -> None:
    """Mark in `target` the voxels in which those of `source` lie, another sampling of the same image.

    nnU-Net crops every model's image to the same box before it is resampled.
    """
    voxels = np.argwhere(source)[:, list(order)]
    lengths = np.array(source.shape)[list(order)]
    target[tuple(((voxels + 0.5) * target.shape / lengths).astype(int).T)] = True
