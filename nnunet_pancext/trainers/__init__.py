"""Every trainer that `-tr` accepts, and variants such as `SegResNetNLTrainer_50epochs` on demand.

A trainer in a module of this folder, or of another package's entry point in the group
`nnunet_pancext.papers`, can be imported from here by its name.
"""

from typing import Any

from nnunet_pancext.errors import PancextError
from nnunet_pancext.trainers.machinery.base import PancextTrainer
from nnunet_pancext.trainers.machinery.catalogue import find_trainer, list_trainers, similar_trainers
from nnunet_pancext.trainers.machinery.network import InjectionTrainer, NetworkTrainer

__all__ = [
    "InjectionTrainer",
    "NetworkTrainer",
    "PancextTrainer",
    "find_trainer",
    "list_trainers",
    "similar_trainers",
]


def __getattr__(name: str) -> Any:
    try:
        trainer = find_trainer(name) if name[:1].isalpha() else None
    except PancextError as error:
        raise AttributeError(str(error)) from None
    if trainer is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return trainer


def __dir__() -> list[str]:
    return [*__all__, *list_trainers()]
