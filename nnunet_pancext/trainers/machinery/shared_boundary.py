"""Adds the inter-class shared boundary (ISB) loss to nnU-Net's own."""

from typing import Any

from torch import Tensor, nn

from nnunet_pancext.errors import NNUNetCommandError
from nnunet_pancext.losses import ISBLoss
from nnunet_pancext.losses.shared_boundary import LEAST_CLASSES
from nnunet_pancext.trainers.machinery.nnunet import ConfigurationManager

SUFFIX = "ISBLoss"


class LossWithISB(nn.Module):
    """`loss` + `weight` * ISB loss of the finest output."""

    def __init__(self, loss: nn.Module, isb: ISBLoss, weight: float) -> None:
        super().__init__()
        self.loss = loss
        self.isb = isb
        self.weight = weight

    def forward(self, outputs: Tensor | list[Tensor], target: Tensor | list[Tensor]) -> Tensor:
        finest = [level if isinstance(level, Tensor) else level[0] for level in (outputs, target)]
        return self.loss(outputs, target) + self.weight * self.isb(*finest)


def check_labels(label_manager: Any, *, trainer: str) -> None:
    """Raise NNUNetCommandError for region-based labels, or fewer than three with background."""
    without = "_".join(word for word in trainer.split("_") if word != SUFFIX)
    instead = without if without != trainer else "nnUNetTrainerBaseline"
    remedy = f"Train without it: {instead}."
    if label_manager.has_regions:
        raise NNUNetCommandError(
            "The ISB loss needs classes that exclude each other; this dataset has region-based labels "
            f"(regions_class_order in its dataset.json). {remedy}"
        )
    classes = label_manager.num_segmentation_heads
    if classes < LEAST_CLASSES:
        raise NNUNetCommandError(
            f"The ISB loss needs at least {LEAST_CLASSES} classes, such as background, organ and tumour; "
            f"this dataset has {classes}, and each borders on the other alone. {remedy}"
        )


def add_isb_loss(
    loss: nn.Module, weight: float, label_manager: Any, configuration_manager: ConfigurationManager
) -> nn.Module:
    """Return the sum of both losses; faces are weighted by their area in the plan's spacing."""
    spacing = patch_spacing(configuration_manager)
    return LossWithISB(loss, ISBLoss(spacing=spacing, ignore_label=label_manager.ignore_label), weight)


def patch_spacing(configuration_manager: ConfigurationManager) -> list[float]:
    """Return the plan's spacing in mm, one number per axis of its patches."""
    return configuration_manager.spacing[-len(configuration_manager.patch_size) :]
