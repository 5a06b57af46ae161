"""Every trainer that `-tr` accepts, and variants such as `SegResNetNLTrainer_50epochs` on demand."""

from typing import Any

from nnunet_pancext.errors import PancextError
from nnunet_pancext.trainers.attention_unet import AttentionUNetTrainer, MultiHeadAttentionUNetTrainer
from nnunet_pancext.trainers.cdi_nstseg import (
    CDINSTSegBackgroundTrainer,
    CDINSTSegECATrainer,
    CDINSTSegForegroundTrainer,
    CDINSTSegLargerScaleTrainer,
    CDINSTSegNoGLMTrainer,
    CDINSTSegNoLFMTrainer,
    CDINSTSegNoSFMTrainer,
    CDINSTSegOneScaleTrainer,
    CDINSTSegSAMTrainer,
    CDINSTSegSETrainer,
    CDINSTSegSmallerScaleTrainer,
    CDINSTSegTrainer,
)
from nnunet_pancext.trainers.dlkunet import DLKUNetLTrainer, DLKUNetMTrainer, DLKUNetSTrainer
from nnunet_pancext.trainers.injection import (
    nnUNetTrainerAttentionGates,
    nnUNetTrainerBaseline,
    nnUNetTrainerDynamicLoss,
    nnUNetTrainerFocusing,
    nnUNetTrainerISB,
    nnUNetTrainerNonLocal,
    nnUNetTrainerPhaseLoss,
)
from nnunet_pancext.trainers.machinery.base import PancextTrainer
from nnunet_pancext.trainers.machinery.catalogue import defined_trainers, make_variant, similar_names
from nnunet_pancext.trainers.machinery.injection import InjectionTrainer
from nnunet_pancext.trainers.machinery.network import NetworkTrainer
from nnunet_pancext.trainers.monai_baselines import (
    MonaiAttentionUnetTrainer,
    MonaiSegResNetTrainer,
    MonaiSwinUNETRTrainer,
    MonaiUNETRTrainer,
)
from nnunet_pancext.trainers.multi_scale_unet import MultiScaleUNetTrainer
from nnunet_pancext.trainers.pancreas_tumor_cascade import (
    PancreasTumorCascadeFalseNegativeTrainer,
    PancreasTumorCascadeFalsePositiveTrainer,
    PancreasTumorCascadeMPTLTrainer,
    PancreasTumorCascadeMPTrainer,
    PancreasTumorCascadeMPTTrainer,
    PancreasTumorCascadeMTrainer,
    PancreasTumorCascadeTrainer,
    PancreasTumorCascadeTransferTrainer,
)
from nnunet_pancext.trainers.segresnet_nl import (
    SegResNetNL0Trainer,
    SegResNetNL1Trainer,
    SegResNetNL2Trainer,
    SegResNetNL3Trainer,
    SegResNetNL4Trainer,
    SegResNetNLTrainer,
)

# `pancext trainers` keeps this order of the trainers.
__all__ = [  # noqa: RUF022
    "PancextTrainer",
    "NetworkTrainer",
    "InjectionTrainer",
    "find_trainer",
    "list_trainers",
    "similar_trainers",
    "SegResNetNLTrainer",
    "SegResNetNL0Trainer",
    "SegResNetNL1Trainer",
    "SegResNetNL2Trainer",
    "SegResNetNL3Trainer",
    "SegResNetNL4Trainer",
    "MultiScaleUNetTrainer",
    "PancreasTumorCascadeTrainer",
    "PancreasTumorCascadeMTrainer",
    "PancreasTumorCascadeMPTrainer",
    "PancreasTumorCascadeMPTTrainer",
    "PancreasTumorCascadeMPTLTrainer",
    "PancreasTumorCascadeFalsePositiveTrainer",
    "PancreasTumorCascadeFalseNegativeTrainer",
    "PancreasTumorCascadeTransferTrainer",
    "DLKUNetSTrainer",
    "DLKUNetMTrainer",
    "DLKUNetLTrainer",
    "AttentionUNetTrainer",
    "MultiHeadAttentionUNetTrainer",
    "CDINSTSegTrainer",
    "CDINSTSegNoSFMTrainer",
    "CDINSTSegNoGLMTrainer",
    "CDINSTSegNoLFMTrainer",
    "CDINSTSegOneScaleTrainer",
    "CDINSTSegSmallerScaleTrainer",
    "CDINSTSegLargerScaleTrainer",
    "CDINSTSegForegroundTrainer",
    "CDINSTSegBackgroundTrainer",
    "CDINSTSegSETrainer",
    "CDINSTSegECATrainer",
    "CDINSTSegSAMTrainer",
    "nnUNetTrainerBaseline",
    "nnUNetTrainerNonLocal",
    "nnUNetTrainerAttentionGates",
    "nnUNetTrainerFocusing",
    "nnUNetTrainerPhaseLoss",
    "nnUNetTrainerDynamicLoss",
    "nnUNetTrainerISB",
    "MonaiSegResNetTrainer",
    "MonaiAttentionUnetTrainer",
    "MonaiUNETRTrainer",
    "MonaiSwinUNETRTrainer",
]

_VARIANTS: dict[str, type[PancextTrainer]] = {}


def list_trainers() -> dict[str, type[PancextTrainer]]:
    """Return every trainer of the package by name, without variants."""
    return defined_trainers({name: globals()[name] for name in __all__})


def find_trainer(name: str) -> type[PancextTrainer] | None:
    """Return the trainer class `name`, with or without suffixes, or None if it is not of this package.

    Raises:
        PancextError: a trainer of this package with an unknown suffix, or nnU-Net's own with one of ours.
    """
    trainers = list_trainers()
    if name in trainers:
        return trainers[name]
    if name not in _VARIANTS:
        variant = make_variant(name, trainers.values(), module=__name__)
        if variant is None:
            return None
        _VARIANTS[name] = variant
    return _VARIANTS[name]


def similar_trainers(name: str) -> list[str]:
    """Return up to three names of this package's trainers that come close to `name`, the closest first."""
    return similar_names(name, list_trainers())


def __getattr__(name: str) -> Any:
    try:
        trainer = None if name.startswith("_") else find_trainer(name)
    except PancextError as error:
        raise AttributeError(str(error)) from None
    if trainer is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return trainer
