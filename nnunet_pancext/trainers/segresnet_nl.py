"""Trainers of SegResNet with non-local blocks: 0 to 4 of them, as in the paper's Table 2."""

from typing import ClassVar

from nnunet_pancext.architectures.segresnet_nl import SegResNetNL
from nnunet_pancext.trainers.machinery.network import NetworkTrainer


class SegResNetNLTrainer(NetworkTrainer):
    """SegResNet with the two non-local blocks, the paper's choice, trained by nnU-Net's recipe."""

    paper = "SegResNet + non-local (Liao et al.)"
    order = 10
    attention: ClassVar[str | None] = "non-local blocks"
    network_class = SegResNetNL
    network_options = {"num_non_local_blocks": 2}
    small_options = {"init_filters": 8}
    num_downsamplings = 3


class SegResNetNL0Trainer(SegResNetNLTrainer):
    """The backbone alone."""

    attention = None
    network_options = {"num_non_local_blocks": 0}


class SegResNetNL1Trainer(SegResNetNLTrainer):
    """One non-local block."""

    network_options = {"num_non_local_blocks": 1}


class SegResNetNL2Trainer(SegResNetNLTrainer):
    """Two non-local blocks: `SegResNetNLTrainer` under its name in the ablation."""


class SegResNetNL3Trainer(SegResNetNLTrainer):
    """Three non-local blocks."""

    network_options = {"num_non_local_blocks": 3}


class SegResNetNL4Trainer(SegResNetNLTrainer):
    """Four non-local blocks."""

    network_options = {"num_non_local_blocks": 4}
