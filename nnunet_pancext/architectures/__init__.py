"""The papers' networks, plain PyTorch: nothing here knows of nnU-Net."""

from nnunet_pancext.architectures.parameters import count_parameters
from nnunet_pancext.architectures.segresnet_nl import SegResNetNL

__all__ = ["SegResNetNL", "count_parameters"]
