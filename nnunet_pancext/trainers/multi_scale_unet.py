"""Trainer of the multi-scale U-Net, the backbone of both stages of the pancreatic-tumour cascade."""

from nnunet_pancext.architectures import MultiScaleUNet
from nnunet_pancext.trainers.machinery.network import NetworkTrainer


class MultiScaleUNetTrainer(NetworkTrainer):
    """Multi-scale U-Net alone, with softmax over all classes, trained by nnU-Net's recipe."""

    paper = "Multi-scale U-Net (Qiu et al.)"
    network_class = MultiScaleUNet
    num_downsamplings = 4
    refuses_paper_recipe = "the paper's recipe is for the cascade: PancreasTumorCascadeTrainer takes it"
