"""Inter-class shared boundary: the share of a class's boundary with each other (Qiu et al., Eq. 14-16)."""

from collections.abc import Sequence
from functools import partial
from itertools import combinations
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

LEAST_CLASSES = 3
TINY = 1e-6  # faces


def shared_boundary_matrix(
    probabilities: Tensor, *, spacing: Sequence[float] | None = None, valid: Tensor | None = None
) -> Tensor:
    """Return m(i, j) = r_i l_ij / l_i of Eq. 14, zeros on the diagonal and in the rows of absent classes.

    The printed form counts on label maps, which has no gradient. Here lengths are sums over pairs of voxels
    that share a face, with D the difference within a pair: l_i = sum |D p_i| and
    l_ij = 1/2 sum (|D p_i| + |D p_j| - |D (p_i + p_j)|). The factor r_i = max p_i - min p_i, 1 for a class
    that is present, is not in the printed form: a ratio ignores how faint a border is, so without r_i traces
    of an absent class would count like a present one. On one-hot maps all are the printed counts. Memory
    grows linearly with the number of voxels.

    Shapes: probabilities (B, K, *spatial) with two or three axes to (B, K, K).

    Args:
        probabilities: of K classes; one-hot for the printed form.
        spacing: in mm, one number per axis; faces then count by their area.
        valid: (B, 1, *spatial), True where a voxel counts; a pair counts if both its voxels do.

    Raises:
        ValueError: the number of axes of an argument is wrong.
    """
    axes = probabilities.dim() - 2
    if axes not in (2, 3):
        raise ValueError(f"probabilities have shape {tuple(probabilities.shape)}, not (B, K, *2 or 3 axes).")
    if spacing is not None and len(spacing) != axes:
        raise ValueError(f"spacing is {tuple(spacing)}, but the images have {axes} axes.")
    if valid is not None and valid.shape != (probabilities.shape[0], 1, *probabilities.shape[2:]):
        raise ValueError(
            f"valid has shape {tuple(valid.shape)}; for probabilities of shape "
            f"{tuple(probabilities.shape)} it must have one channel and the same size."
        )
    lengths = _BoundaryLengths.apply(probabilities, valid, _face_areas(axes, spacing))
    border = lengths.diagonal(dim1=1, dim2=2)
    scale = _contrast(probabilities, valid) / border.clamp_min(TINY)
    return (lengths - torch.diag_embed(border)) * scale[:, :, None]


class ISBLoss(nn.Module):
    """Mean over i and j of (m_pred(i, j) - m_gt(i, j))^2 (Eq. 16), averaged over the batch.

    Called with logits (B, K, *spatial), before the softmax, and target (B, 1, *spatial) of labels
    0 to K - 1.

    Args:
        spacing: in mm; see `shared_boundary_matrix`.
        ignore_label: voxels with this label, and the pairs that they are part of, do not count.
        hard: use the label map of the most probable classes, as printed: a metric without gradient.

    Raises:
        ValueError: in `forward`, fewer than three classes. With two, each class only borders on the other, so
            the matrix is the same for any prediction.
    """

    def __init__(
        self, *, spacing: Sequence[float] | None = None, ignore_label: int | None = None, hard: bool = False
    ) -> None:
        super().__init__()
        self.spacing = spacing
        self.ignore_label = ignore_label
        self.hard = hard

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        num_classes = logits.shape[1]
        if num_classes < LEAST_CLASSES:
            raise ValueError(
                f"The shared boundary of {num_classes} classes is constant: each only borders on the "
                f"other. ISBLoss needs at least {LEAST_CLASSES}, such as background, organ and tumour."
            )
        with torch.autocast(logits.device.type, enabled=False):  # sums over a volume overflow in half
            exact = logits.dtype if logits.dtype == torch.float64 else torch.float32
            probabilities = logits.to(exact).softmax(dim=1)
            if self.hard:
                probabilities = _one_hot(probabilities.argmax(dim=1, keepdim=True), num_classes, exact)
            labels = target.long()
            valid = None if self.ignore_label is None else labels != self.ignore_label
            truth = _one_hot(labels if valid is None else labels * valid, num_classes, exact)
            matrix = partial(shared_boundary_matrix, spacing=self.spacing, valid=valid)
            return functional.mse_loss(matrix(probabilities), matrix(truth))


def _contrast(probabilities: Tensor, valid: Tensor | None) -> Tensor:
    """Return the largest minus the smallest probability of each class, (B, K); 0 where no voxel counts."""
    highest = lowest = probabilities.flatten(2)
    if valid is not None:
        counts = valid.flatten(2) > 0
        highest, lowest = highest.masked_fill(~counts, 0), lowest.masked_fill(~counts, 1)
    return (highest.amax(dim=2) - lowest.amin(dim=2)).clamp_min(0)


class _BoundaryLengths(torch.autograd.Function):
    """The lengths l_ij, with l_i on the diagonal; only saves its input for the backward pass."""

    @staticmethod
    def forward(ctx: Any, probabilities: Tensor, valid: Tensor | None, areas: tuple[float, ...]) -> Tensor:
        ctx.save_for_backward(probabilities, valid)
        ctx.areas = areas
        batch, num_classes = probabilities.shape[:2]
        lengths = probabilities.new_zeros(batch, num_classes, num_classes)
        for axis, area in enumerate(areas, start=2):
            steps = _differences(probabilities, valid, axis)
            sizes = [step.abs() for step in steps]
            for i, size in enumerate(sizes):
                lengths[:, i, i] += area * _total(size)
            for i, j in combinations(range(num_classes), 2):
                shared = 0.5 * area * _total(sizes[i] + sizes[j] - (steps[i] + steps[j]).abs())
                lengths[:, i, j] += shared
                lengths[:, j, i] += shared
        return lengths

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        probabilities, valid = ctx.saved_tensors
        (gradient,) = gradients
        both = 0.5 * (gradient + gradient.transpose(1, 2))
        result = torch.zeros_like(probabilities)
        for axis, area in enumerate(ctx.areas, start=2):
            steps = _differences(probabilities, valid, axis)
            slopes = []
            for i, step in enumerate(steps):
                weight = both[:, i].sum(dim=1)
                slopes.append(_each(weight, step) * step.sign())
            for i, j in combinations(range(len(steps)), 2):
                joint = _each(both[:, i, j], steps[i]) * (steps[i] + steps[j]).sign()
                slopes[i] -= joint
                slopes[j] -= joint
            length = probabilities.shape[axis]
            for i, slope in enumerate(slopes):
                if valid is not None:
                    slope *= _pairs(valid[:, 0], axis - 1)
                slope *= area
                result[:, i].narrow(axis - 1, 1, length - 1).add_(slope)
                result[:, i].narrow(axis - 1, 0, length - 1).sub_(slope)
        return result, None, None


def _differences(probabilities: Tensor, valid: Tensor | None, axis: int) -> list[Tensor]:
    """Return for each class the difference within each pair of neighbours along `axis`."""
    steps = [classes.diff(dim=axis - 1) for classes in probabilities.unbind(dim=1)]
    if valid is not None:
        pairs = _pairs(valid[:, 0], axis - 1)
        steps = [step * pairs for step in steps]
    return steps


def _pairs(valid: Tensor, axis: int) -> Tensor:
    last = valid.shape[axis] - 1
    return valid.narrow(axis, 1, last) & valid.narrow(axis, 0, last)


def _total(values: Tensor) -> Tensor:
    return values.flatten(1).sum(dim=1)


def _each(weights: Tensor, like: Tensor) -> Tensor:
    """Return (B,) `weights` in a shape that multiplies (B, *spatial)."""
    return weights.view(-1, *[1] * (like.dim() - 1))


def _face_areas(axes: int, spacing: Sequence[float] | None) -> tuple[float, ...]:
    """Return the area of the faces across each axis, relative to their mean; only ratios matter."""
    if spacing is None:
        return (1.0,) * axes
    areas = [prod(spacing) / step for step in spacing]
    mean = sum(areas) / axes
    return tuple(area / mean for area in areas)


def _one_hot(labels: Tensor, num_classes: int, dtype: torch.dtype) -> Tensor:
    shape = (labels.shape[0], num_classes, *labels.shape[2:])
    return torch.zeros(shape, dtype=dtype, device=labels.device).scatter_(1, labels, 1.0)
