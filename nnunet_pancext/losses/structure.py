"""Structure loss: cross-entropy and IoU, with more weight where a mask changes (Qiu et al., Eq. 11-12)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

WINDOW = 31
EDGE_WEIGHT = 5.0
SMOOTH = 1.0


def edge_weights(mask: Tensor) -> Tensor:
    """Return 1 + 5 |mean of the mask over 31 voxels along each axis - mask|, with zeros beyond the border.

    Shapes: (B, C, *spatial) to the same.
    """
    mean = mask
    for axis in range(2, mask.dim()):  # the mean over a box is the mean along each axis in turn
        lines = mean.movedim(axis, -1)
        pooled = functional.avg_pool1d(lines.flatten(0, -2), WINDOW, stride=1, padding=WINDOW // 2)
        mean = pooled.view(lines.shape).movedim(-1, axis)
    return 1 + EDGE_WEIGHT * (mean - mask).abs()


def bce_iou_loss(logits: Tensor, mask: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return binary cross-entropy plus IoU loss of each sample and channel.

    With weight w, probability p and mask g at each voxel:
    sum w BCE / sum w + 1 - (sum w p g + 1) / (sum w (p + g - p g) + 1).

    Shapes: logits, mask and weights (B, C, *spatial) to (B, C). Weights of None are ones.
    """
    if weights is None:
        weights = torch.ones_like(mask)
    entropy = functional.binary_cross_entropy_with_logits(logits, mask, reduction="none")
    probability = logits.sigmoid()
    product = probability * mask
    overlap, union = _total(weights * product), _total(weights * (probability + mask - product))
    mean_entropy = _total(weights * entropy) / _total(weights).clamp_min(1e-6)
    return mean_entropy + 1 - (overlap + SMOOTH) / (union + SMOOTH)


def one_versus_rest(logits: Tensor) -> Tensor:
    """Return for each class the logit of its softmax probability: z_k - log sum of exp(z_j) over j != k.

    Shapes: (B, K, *spatial) to the same, K at least 2. With two classes that is the difference of the logits.
    """
    classes = range(logits.shape[1])
    rest = [
        torch.logsumexp(torch.stack([logits[:, other] for other in classes if other != label]), dim=0)
        for label in classes
    ]
    return logits - torch.stack(rest, dim=1)


class StructureLoss(nn.Module):
    """Edge-weighted BCE + IoU of each foreground class against the rest, averaged over classes and batch.

    Called with logits (B, K, *spatial) and a target in one of nnU-Net's forms: (B, 1, *spatial) of labels 0
    to K - 1; or with `regions` (B, K, *spatial) of zeros and ones.

    Args:
        regions: the channels are regions, which may overlap, so each has its own sigmoid.
        ignore_label: voxels with this label do not count. With regions, any value means that the target has
            a further channel, with ones where voxels do not count.
        edges: False gives every voxel the same weight.
    """

    def __init__(self, *, regions: bool = False, ignore_label: int | None = None, edges: bool = True) -> None:
        super().__init__()
        self.edges = edges
        self.regions = regions
        self.ignore_label = ignore_label

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        with torch.autocast(logits.device.type, enabled=False):
            logits = logits.float()
            if not self.regions:
                logits = one_versus_rest(logits)[:, 1:]
            masks, valid = self._masks(target, logits.shape[1])
            weights = edge_weights(masks) if self.edges else torch.ones_like(masks)
            if valid is not None:
                weights = weights * valid
            return bce_iou_loss(logits, masks, weights).mean()

    def _masks(self, target: Tensor, count: int) -> tuple[Tensor, Tensor | None]:
        """Return a mask for each foreground class, and a mask of the voxels that count."""
        if self.regions:
            if self.ignore_label is None:
                return target.float(), None
            return target[:, :count].float(), 1 - target[:, -1:].float()
        valid = None if self.ignore_label is None else (target != self.ignore_label).float()
        masks = [target[:, 0] == label for label in range(1, count + 1)]
        return torch.stack(masks, dim=1).float(), valid


class MapsLoss(nn.Module):
    """Weighted sum over maps: `StructureLoss` of each; of the last, the localization, without edge weights.

    Called with lists of logits and of targets, the finest map first.

    Args:
        weights: one number per map; kept as `weight_factors`, as in nnU-Net's own wrapper.
        regions, ignore_label: as of `StructureLoss`.
    """

    def __init__(
        self, weights: Sequence[float], *, regions: bool = False, ignore_label: int | None = None
    ) -> None:
        super().__init__()
        self.weight_factors = tuple(weights)
        self.losses = nn.ModuleList(
            StructureLoss(regions=regions, ignore_label=ignore_label, edges=index < len(weights) - 1)
            for index in range(len(weights))
        )

    def forward(self, maps: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        terms = zip(self.weight_factors, self.losses, maps, targets, strict=True)
        return torch.stack([weight * loss(logits, target) for weight, loss, logits, target in terms]).sum()


def _total(values: Tensor) -> Tensor:
    return values.flatten(2).sum(dim=2)
