"""Trainers of SegResNet with non-local blocks; 0 to 4 of them as in the paper's Table 2."""

from nnunet_pancext.architectures import SegResNetNL
from nnunet_pancext.trainers.machinery.network import NetworkTrainer


class SegResNetNLTrainer(NetworkTrainer):
    """SegResNet with the two non-local blocks that the paper settles on, trained by nnU-Net's recipe."""

    paper = "SegResNet + non-local (Liao et al.)"
    network_class = SegResNetNL
    network_options = {"num_non_local_blocks": 2}
    num_downsamplings = 3


class SegResNetNL0Trainer(SegResNetNLTrainer):
    """The backbone alone."""

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
