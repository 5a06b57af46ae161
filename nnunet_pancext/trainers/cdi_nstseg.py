"""Trainers of CDI-NSTSEG and of its ablations."""

from __future__ import annotations

from typing import Any, ClassVar

from nnunet_pancext.architectures import CDINSTSeg
from nnunet_pancext.architectures.blocks.focusing import BACKGROUND, FOREGROUND
from nnunet_pancext.architectures.blocks.localization import ECA, SAM, SE
from nnunet_pancext.losses import MapsLoss, StructureLoss
from nnunet_pancext.trainers.machinery.network import NetworkTrainer
from nnunet_pancext.trainers.machinery.nnunet import ConfigurationManager

MAP_WEIGHTS = (4.0, 2.0, 1.0, 1.0)  # the last map first


class CDINSTSegTrainer(NetworkTrainer):
    """CDI-NSTSEG with its own loss on its four maps, otherwise trained by nnU-Net's recipe.

    The maps weigh 1, 1, 2 and 4 from coarse to fine, divided by their sum, so that the loss has the size that
    nnU-Net's learning rate is made for; the coarsest, which localizes, has no weights at edges. A suffix that
    weighs Dice and CE brings nnU-Net's own loss in its place. In 3D the encoder's features are recomputed to
    save memory.
    """

    paper = "CDI-NSTSEG"
    loss_name = "edge-weighted BCE + IoU"
    loss_weighting = None
    network_class = CDINSTSeg
    num_downsamplings = 4
    map_weights: ClassVar[tuple[float, ...]] = MAP_WEIGHTS

    @classmethod
    def plan_options(cls, configuration_manager: ConfigurationManager) -> dict[str, Any]:
        return {"recompute": len(configuration_manager.patch_size) == 3}

    def build_loss(self) -> Any:
        if self.loss_weighting is not None:
            return super().build_loss()
        regions, ignore_label = self.label_manager.has_regions, self.label_manager.ignore_label
        if not self.enable_deep_supervision:
            return StructureLoss(regions=regions, ignore_label=ignore_label)
        weights = [weight / sum(self.map_weights) for weight in self.map_weights]
        return MapsLoss(weights, regions=regions, ignore_label=ignore_label)


class CDINSTSegNoSFMTrainer(CDINSTSegTrainer):
    """CDI-NSTSEG without scale fusion: the scales' features are averaged."""

    network_options = {"scale_fusion": False}


class CDINSTSegNoGLMTrainer(CDINSTSegTrainer):
    """CDI-NSTSEG without non-local localization."""

    network_options = {"localization": False}


class CDINSTSegNoLFMTrainer(CDINSTSegTrainer):
    """CDI-NSTSEG without focusing modules."""

    network_options = {"focusing": False}


class CDINSTSegOneScaleTrainer(CDINSTSegTrainer):
    """CDI-NSTSEG at scale 1.0 alone."""

    network_options = {"scales": (1.0,)}


class CDINSTSegSmallerScaleTrainer(CDINSTSegTrainer):
    """CDI-NSTSEG at scales 0.5 and 1.0."""

    network_options = {"scales": (0.5, 1.0)}


class CDINSTSegLargerScaleTrainer(CDINSTSegTrainer):
    """CDI-NSTSEG at scales 1.0 and 1.5."""

    network_options = {"scales": (1.0, 1.5)}


class CDINSTSegForegroundTrainer(CDINSTSegTrainer):
    """CDI-NSTSEG with foreground exploration alone, which in this paper finds what is missing.

    It explores the features of the background, where missed tumour lies.
    """

    network_options = {"sides": (BACKGROUND,)}


class CDINSTSegBackgroundTrainer(CDINSTSegTrainer):
    """CDI-NSTSEG with background suppression alone, which in this paper removes what is falsely found.

    It explores the features of the foreground, where false tumour lies.
    """

    network_options = {"sides": (FOREGROUND,)}


class CDINSTSegSETrainer(CDINSTSegTrainer):
    """CDI-NSTSEG with squeeze-and-excitation in place of non-local attention."""

    network_options = {"attention": SE}


class CDINSTSegECATrainer(CDINSTSegTrainer):
    """CDI-NSTSEG with efficient channel attention in place of non-local attention."""

    network_options = {"attention": ECA}


class CDINSTSegSAMTrainer(CDINSTSegTrainer):
    """CDI-NSTSEG with the spatial attention module of CBAM in place of non-local attention."""

    network_options = {"attention": SAM}
