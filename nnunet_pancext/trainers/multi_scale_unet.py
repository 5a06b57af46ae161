"""Trainer of the multi-scale U-Net, the backbone of both stages of the pancreatic-tumour network."""

from nnunet_pancext.architectures.multi_scale_unet import MultiScaleUNet
from nnunet_pancext.trainers.machinery.network import NetworkTrainer


class MultiScaleUNetTrainer(NetworkTrainer):
    """Multi-scale U-Net alone, with softmax over all classes, trained by nnU-Net's recipe."""

    paper = "Multi-scale U-Net (Qiu et al.)"
    order = 20
    network_class = MultiScaleUNet
    small_options = {"base_channels": 8}
    num_downsamplings = 4
    refuses_paper_recipe = "the paper's recipe is for the two-stage network: use PancreasTumorCascadeTrainer"
