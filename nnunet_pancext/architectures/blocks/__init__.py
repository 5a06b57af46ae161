"""The parts that the networks are made of."""

from nnunet_pancext.architectures.blocks.attention_gate import AdditiveAttention, AttentionGate, GatedSkip
from nnunet_pancext.architectures.blocks.conv import conv_norm_relu
from nnunet_pancext.architectures.blocks.head import linear_head, segmentation_head
from nnunet_pancext.architectures.blocks.large_kernel import LargeKernelAttention, LargeKernelBlock
from nnunet_pancext.architectures.blocks.non_local import NonLocalBlock, non_local_maps
from nnunet_pancext.architectures.blocks.residual import ResidualBlock

__all__ = [
    "AdditiveAttention",
    "AttentionGate",
    "GatedSkip",
    "LargeKernelAttention",
    "LargeKernelBlock",
    "NonLocalBlock",
    "ResidualBlock",
    "conv_norm_relu",
    "linear_head",
    "non_local_maps",
    "segmentation_head",
]
