"""From logits on the network's grid to labels and probabilities on the image's own."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from numpy.typing import NDArray

from nnunet_pancext.inference.foreground import make_background, make_unseen, voxel_spacing_mm
from nnunet_pancext.inference.logits import Box, Logits, Region
from nnunet_pancext.inference.prepared_image import PreparedImage
from nnunet_pancext.inference.resampling import (
    is_linear,
    nearest_source,
    plan_axes,
    resampled_slabs,
    target_size,
)
from nnunet_pancext.inference.trained_folds import LoadedFolds
from nnunet_pancext.inference.windows import as_box, grown, moved, with_channels

LabelMap = NDArray[np.integer]
Probabilities = NDArray[np.float32]
CONTINUED = 8  # voxels around a region


def export(
    folds: LoadedFolds,
    image: PreparedImage,
    logits: Logits,
    *,
    with_probabilities: bool = False,
    fold: int | None = None,
) -> tuple[LabelMap, Probabilities | None]:
    """Return the label map (slice, row, column) on the image's grid, and the probabilities (head, ...).

    Logits of the whole image take nnU-Net's own path. Those in regions are resampled there alone, and outside
    of them is background; with another resampling than nnU-Net's default they are put into the whole image
    first. `fold` is the index of a fold whose logits are exported instead of the average.
    """
    if logits.is_whole:
        return _by_nnunet(folds, image, _of(logits.regions[0], fold), with_probabilities)
    if not is_linear(folds.configuration.resampling_fn_probabilities):
        return _by_nnunet(folds, image, _filled(folds, logits, fold), with_probabilities)
    label_map, probabilities = _background(folds, image, with_probabilities)
    crop = as_box(image.properties["bbox_used_for_cropping"])
    for region in logits.regions:
        for box, slab in _resampled(folds, image, region.box, _of(region, fold), logits.shape):
            place = moved(box, crop)
            if probabilities is None:
                label_map[place] = folds.labels.convert_logits_to_segmentation(slab).numpy()
            else:
                likely = folds.labels.apply_inference_nonlin(slab)
                label_map[place] = folds.labels.convert_probabilities_to_segmentation(likely).numpy()
                probabilities[with_channels(place)] = likely.numpy()
    order = folds.plans.transpose_backward
    if probabilities is not None:
        probabilities = probabilities.transpose(0, *(axis + 1 for axis in order))
    return label_map.transpose(order), probabilities


def probabilities_at(
    folds: LoadedFolds, image: PreparedImage, logits: Logits, voxels: NDArray[np.integer]
) -> Probabilities:
    """Return the probabilities (number, heads) at voxels (number, 3) of the image's own grid.

    They are those of the nearest voxel of the network's grid; background where no logits were computed.
    """
    crop = image.properties["bbox_used_for_cropping"]
    target = target_size(image.properties)
    inside = np.asarray(voxels)[:, list(folds.plans.transpose_forward)] - [start for start, _ in crop]
    is_kept = ((inside >= 0) & (inside < target)).all(1)
    source = np.stack(
        [nearest_source(inside[:, axis], logits.shape[axis], target[axis]) for axis in range(3)], 1
    )
    found = np.zeros((len(voxels), folds.labels.num_segmentation_heads), np.float32)
    if not folds.labels.has_regions:
        found[:, 0] = 1
    for region in logits.regions:
        local = source - [side.start for side in region.box]
        (index,) = (is_kept & ((local >= 0) & (local < region.logits.shape[1:])).all(1)).nonzero()
        slices, rows, columns = torch.from_numpy(local[index]).long().unbind(1)
        found[index] = folds.labels.apply_inference_nonlin(region.logits[:, slices, rows, columns]).numpy().T
    return found


def _of(region: Region, fold: int | None) -> torch.Tensor:
    return region.logits if fold is None else region.per_fold[fold]


def _by_nnunet(
    folds: LoadedFolds, image: PreparedImage, logits: torch.Tensor, with_probabilities: bool
) -> tuple[LabelMap, Probabilities | None]:
    exported: Any = convert_predicted_logits_to_segmentation_with_correct_shape(
        logits.numpy(),
        folds.plans,
        folds.configuration,
        folds.labels,
        image.properties,
        return_probabilities=with_probabilities,
    )
    return exported if with_probabilities else (exported, None)


def _filled(folds: LoadedFolds, logits: Logits, fold: int | None) -> torch.Tensor:
    """Return logits of the whole image, which say background where none were computed.

    Near a region they continue those at its edge, so that a spline does not oscillate there.
    """
    has_regions = folds.labels.has_regions
    filled = torch.zeros((folds.labels.num_segmentation_heads, *logits.shape), dtype=torch.half)
    make_unseen(filled, torch.ones(logits.shape, dtype=torch.bool), has_regions=has_regions)
    for region in logits.regions:
        around = grown(region.box, (CONTINUED,) * 3, within=logits.shape)
        part = _of(region, fold)
        for axis, (side, outer) in enumerate(zip(region.box, around, strict=True)):
            positions = torch.arange(outer.start, outer.stop).clamp(side.start, side.stop - 1) - side.start
            part = part.index_select(axis + 1, positions)
        make_background(part, torch.ones(part.shape[1:], dtype=torch.bool), has_regions=has_regions)
        filled[with_channels(around)] = part
    for region in logits.regions:
        filled[with_channels(region.box)] = _of(region, fold)
    return filled


def _background(
    folds: LoadedFolds, image: PreparedImage, with_probabilities: bool
) -> tuple[LabelMap, Probabilities | None]:
    shape = image.properties["shape_before_cropping"]
    label_map = np.zeros(shape, np.uint8 if len(folds.labels.foreground_labels) < 255 else np.uint16)
    if not with_probabilities:
        return label_map, None
    probabilities = np.zeros((folds.labels.num_segmentation_heads, *shape), np.float32)
    if not folds.labels.has_regions:
        probabilities[0] = 1
    return label_map, probabilities


def _resampled(
    folds: LoadedFolds, image: PreparedImage, box: Box, logits: torch.Tensor, shape: Sequence[int]
) -> Iterator[tuple[Box, torch.Tensor]]:
    """Yield boxes of the image's grid within nnU-Net's crop, and their logits."""
    spacing = [image.properties["spacing"][axis] for axis in folds.plans.transpose_forward]
    axes = plan_axes(
        box,
        shape,
        target_size(image.properties),
        resampling=folds.configuration.resampling_fn_probabilities,
        source_spacing=voxel_spacing_mm(folds, image),
        target_spacing=spacing,
    )
    if axes is not None:
        yield from resampled_slabs(logits, axes)
