"""The papers' networks, plain PyTorch: nothing here depends on nnU-Net.

Every `SegmentationNetwork` in a module of this folder can be imported from here.
"""

from functools import lru_cache
from typing import Any

from nnunet_pancext.architectures.segmentation_network import SegmentationNetwork, count_parameters
from nnunet_pancext.modules import classes_of, import_modules

__all__ = ["count_parameters"]


@lru_cache
def _networks() -> dict[str, type[SegmentationNetwork]]:
    modules = import_modules(__name__, __path__)
    return {
        name: network
        for module in modules
        for name, network in classes_of(module, SegmentationNetwork).items()
    }


def __getattr__(name: str) -> Any:
    network = None if name.startswith("_") else _networks().get(name)
    if network is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return network


def __dir__() -> list[str]:
    return [*__all__, *_networks()]
