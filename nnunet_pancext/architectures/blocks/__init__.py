"""The parts that the networks are made of."""

from nnunet_pancext.architectures.blocks.head import segmentation_head
from nnunet_pancext.architectures.blocks.non_local import NonLocalBlock
from nnunet_pancext.architectures.blocks.residual import ResidualBlock

__all__ = ["NonLocalBlock", "ResidualBlock", "segmentation_head"]
