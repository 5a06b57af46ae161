"""Trainers of CDI-NSTSEG and of its ablations."""

from typing import Any, ClassVar

from nnunet_pancext.architectures.blocks.focusing import BACKGROUND, FOREGROUND
from nnunet_pancext.architectures.blocks.localization import ECA, SAM, SE
from nnunet_pancext.architectures.cdi_nstseg import CDINSTSeg
from nnunet_pancext.losses import MapsLoss, StructureLoss
from nnunet_pancext.trainers.machinery.network import NetworkTrainer
from nnunet_pancext.trainers.machinery.nnunet import ConfigurationManager


class CDINSTSegTrainer(NetworkTrainer):
    """CDI-NSTSEG with its own loss on its four maps, otherwise trained by nnU-Net's recipe.

    The maps have weights 1, 1, 2 and 4 from coarse to fine, divided by their sum, so that the loss fits
    nnU-Net's learning rate; the coarsest, the localization, has no edge weights. A suffix that weights Dice
    and CE replaces the loss by nnU-Net's own. In 3D the encoder's features are recomputed to save memory.
    """

    paper = "CDI-NSTSEG"
    order = 60
    attention = "localization and focusing maps"
    loss_name = "edge-weighted BCE + IoU"
    loss_weighting = None
    network_class = CDINSTSeg
    small_options = {"base_channels": 8}
    num_downsamplings = 4
    map_weights: ClassVar[tuple[float, ...]] = (4.0, 2.0, 1.0, 1.0)  # finest first

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
    """CDI-NSTSEG with foreground exploration alone, in this paper the search for false negatives.

    It explores the features of the background, which contain the missed tumour.
    """

    network_options = {"sides": (BACKGROUND,)}


class CDINSTSegBackgroundTrainer(CDINSTSegTrainer):
    """CDI-NSTSEG with background suppression alone, in this paper the removal of false positives.

    It explores the features of the foreground, which contain the false tumour.
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
