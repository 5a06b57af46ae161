"""The papers' networks, plain PyTorch: nothing here knows of nnU-Net."""

from nnunet_pancext.architectures.attention_unet import AttentionUNet
from nnunet_pancext.architectures.cdi_nstseg import CDINSTSeg
from nnunet_pancext.architectures.dlkunet import DLKUNet
from nnunet_pancext.architectures.monai_networks import (
    MonaiAttentionUnet,
    MonaiSegResNet,
    MonaiSwinUNETR,
    MonaiUNETR,
)
from nnunet_pancext.architectures.multi_scale_unet import MultiScaleUNet
from nnunet_pancext.architectures.pancreas_tumor_cascade import PancreasTumorCascade
from nnunet_pancext.architectures.parameters import count_parameters
from nnunet_pancext.architectures.segresnet_nl import SegResNetNL

__all__ = [
    "AttentionUNet",
    "CDINSTSeg",
    "DLKUNet",
    "MonaiAttentionUnet",
    "MonaiSegResNet",
    "MonaiSwinUNETR",
    "MonaiUNETR",
    "MultiScaleUNet",
    "PancreasTumorCascade",
    "SegResNetNL",
    "count_parameters",
]
