"""The parts that the networks are made of."""

from nnunet_pancext.architectures.blocks.aspp import ASPP
from nnunet_pancext.architectures.blocks.attention_gate import AdditiveAttention, AttentionGate, GatedSkip
from nnunet_pancext.architectures.blocks.conv import conv_stack
from nnunet_pancext.architectures.blocks.focusing import (
    ContextExploration,
    FocusingModule,
    foreground_probability,
)
from nnunet_pancext.architectures.blocks.head import (
    class_head,
    conv1x1_head,
    init_prior_bias,
    map_head,
    segmentation_head,
)
from nnunet_pancext.architectures.blocks.large_kernel import LargeKernelAttention, LargeKernelBlock
from nnunet_pancext.architectures.blocks.light_attention import (
    EfficientChannelAttention,
    SpatialAttentionModule,
    SqueezeExcitation,
)
from nnunet_pancext.architectures.blocks.localization import (
    ChannelAttention,
    NonLocalLocalization,
    SpatialAttention,
)
from nnunet_pancext.architectures.blocks.multi_scale import MultiScaleBackbone
from nnunet_pancext.architectures.blocks.non_local import NonLocalBlock, non_local_maps
from nnunet_pancext.architectures.blocks.residual import ResidualBlock
from nnunet_pancext.architectures.blocks.saliency import SaliencyChange
from nnunet_pancext.architectures.blocks.scale_fusion import ScaleFusion
from nnunet_pancext.architectures.blocks.target_mining import TargetMining
from nnunet_pancext.architectures.blocks.u_net import decode, encode

__all__ = [
    "ASPP",
    "AdditiveAttention",
    "AttentionGate",
    "ChannelAttention",
    "ContextExploration",
    "EfficientChannelAttention",
    "FocusingModule",
    "GatedSkip",
    "LargeKernelAttention",
    "LargeKernelBlock",
    "MultiScaleBackbone",
    "NonLocalBlock",
    "NonLocalLocalization",
    "ResidualBlock",
    "SaliencyChange",
    "ScaleFusion",
    "SpatialAttention",
    "SpatialAttentionModule",
    "SqueezeExcitation",
    "TargetMining",
    "class_head",
    "conv1x1_head",
    "conv_stack",
    "decode",
    "encode",
    "foreground_probability",
    "init_prior_bias",
    "map_head",
    "non_local_maps",
    "segmentation_head",
]
