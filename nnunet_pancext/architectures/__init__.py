"""The papers' networks, plain PyTorch: nothing here knows of nnU-Net."""

from nnunet_pancext.architectures.attention_unet import AttentionUNet
from nnunet_pancext.architectures.dlkunet import DLKUNet
from nnunet_pancext.architectures.parameters import count_parameters
from nnunet_pancext.architectures.segresnet_nl import SegResNetNL

__all__ = ["AttentionUNet", "DLKUNet", "SegResNetNL", "count_parameters"]
