"""Loss of the two-stage pancreatic-tumour network: both stages and class boundaries (Qiu et al., 3.3)."""

from typing import Any

import torch
from torch import Tensor, nn

from nnunet_pancext.losses.shared_boundary import LEAST_CLASSES, ISBLoss
from nnunet_pancext.losses.structure import bce_iou_loss, edge_weights

STAGE_2_WEIGHT = 0.9  # alpha of Eq. 17
ISB_WEIGHT = 0.4  # beta
LOCALIZATION_WEIGHT = 1.0
FOCUSING_WEIGHTS = (4.0, 2.0, 1.0, 0.5)  # Eq. 13, the finest map first
SMOOTH = 1e-5


class CascadeLoss(nn.Module):
    """L = L_seg1 + 0.9 L_seg2 + 0.4 L_isb (Eq. 17).

    L_seg1 is the Dice loss (Eq. 10) of stage 1 against organ and lesion, over all voxels of the batch. L_seg2
    is BCE + IoU of the localization map plus 0.5, 1, 2 and 4 times the edge-weighted BCE + IoU of the
    focusing maps, coarse to fine (Eq. 11-13), in the windows; 0 without windows. One map alone has BCE + IoU.
    L_isb is `ISBLoss` of background, organ and lesion; further labels count as background. With two classes
    there is none.

    Called with the network's `CascadeOutput` and target (B, 1, *spatial) of labels, or nnU-Net's list of it.

    Args:
        organ, lesion: their labels; equal with one foreground class.
        isb: None leaves it out.
        ignore_label: voxels with this label do not count.

    Attributes:
        terms: the three terms of the last call, without weights, by the names "stage 1", "stage 2", "ISB".
        windows: of the last call.
    """

    def __init__(
        self, *, organ: int, lesion: int, isb: ISBLoss | None = None, ignore_label: int | None = None
    ) -> None:
        super().__init__()
        self.organ = organ
        self.lesion = lesion
        self.isb = isb
        self.ignore_label = ignore_label
        self.terms: dict[str, Tensor] = {}
        self.windows: Any = None

    def forward(self, output: Any, target: Tensor | list[Tensor]) -> Tensor:
        target = target if isinstance(target, Tensor) else target[0]
        with torch.autocast(target.device.type, enabled=False):
            valid = None if self.ignore_label is None else (target != self.ignore_label).float()
            lesion = (target == self.lesion).float()
            either = torch.maximum(lesion, (target == self.organ).float())
            stage_1 = dice_loss(output.organ_logits.float(), either, valid)
            stage_2 = isb = stage_1.new_zeros(())
            if output.windows is not None:
                stage_2 = self._stage_2(output, lesion, valid)
            if self.isb is not None and output.log_probabilities.shape[1] >= LEAST_CLASSES:
                isb = self.isb(*self._three_classes(output.log_probabilities, target))
        self.windows = output.windows
        self.terms = {"stage 1": stage_1.detach(), "stage 2": stage_2.detach(), "ISB": isb.detach()}
        return stage_1 + STAGE_2_WEIGHT * stage_2 + ISB_WEIGHT * isb

    def _three_classes(self, log_probabilities: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return both with the classes 0 background, 1 organ, 2 lesion; the ignore label stays."""
        labels = (target == self.organ).long() + 2 * (target == self.lesion).long()
        if self.ignore_label is not None:
            labels = labels.masked_fill(target == self.ignore_label, self.ignore_label)
        chosen = [log_probabilities[:, label : label + 1] for label in (0, self.organ, self.lesion)]
        return torch.cat(chosen, dim=1), labels

    def _stage_2(self, output: Any, lesion: Tensor, valid: Tensor | None) -> Tensor:
        mask = output.windows.crop(lesion)
        counts = None if valid is None else output.windows.crop(valid)
        *finer, coarsest = [logits.float() for logits in output.lesion_logits]
        total = LOCALIZATION_WEIGHT * bce_iou_loss(coarsest, mask, counts).mean()
        if not finer:
            return total
        weights = edge_weights(mask) if counts is None else edge_weights(mask) * counts
        for weight, logits in zip(FOCUSING_WEIGHTS, finer, strict=True):
            total = total + weight * bce_iou_loss(logits, mask, weights).mean()
        return total


def dice_loss(logits: Tensor, mask: Tensor, valid: Tensor | None = None) -> Tensor:
    """Return 1 - 2 |X Y| / (|X| + |Y|) of sigmoid(logits) and the mask, over all voxels (Eq. 10)."""
    probability = logits.sigmoid()
    if valid is not None:
        probability, mask = probability * valid, mask * valid
    return 1 - (2 * (probability * mask).sum() + SMOOTH) / (probability.sum() + mask.sum() + SMOOTH)
