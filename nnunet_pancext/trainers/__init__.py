"""Every trainer that `-tr` accepts, and variants such as `SegResNetNLTrainer_50epochs` on demand.

A trainer in a module of this folder, or of another package's entry point in the group
`nnunet_pancext.papers`, can be imported from here by its name.
"""

from typing import Any

from nnunet_pancext.errors import PancextError
from nnunet_pancext.trainers.machinery.base import PancextTrainer
from nnunet_pancext.trainers.machinery.catalogue import (
    make_variant,
    other_trainers,
    own_trainers,
    similar_names,
)
from nnunet_pancext.trainers.machinery.network import InjectionTrainer, NetworkTrainer

__all__ = [
    "InjectionTrainer",
    "NetworkTrainer",
    "PancextTrainer",
    "find_trainer",
    "list_trainers",
    "similar_trainers",
]

_VARIANTS: dict[str, type[PancextTrainer]] = {}


def list_trainers() -> dict[str, type[PancextTrainer]]:
    """Return all trainers by name, without variants: this package's, then those of other packages."""
    return {**own_trainers(), **other_trainers()}


def find_trainer(name: str) -> type[PancextTrainer] | None:
    """Return the trainer class `name`, with or without suffixes, or None if there is none.

    Raises:
        PancextError: a trainer with an unknown suffix, or nnU-Net's own with one of ours.
    """
    if name in _VARIANTS:
        return _VARIANTS[name]
    for trainers in (own_trainers, other_trainers):
        known = trainers()
        if name in known:
            return known[name]
        variant = make_variant(name, known, module=__name__)
        if variant is not None:
            _VARIANTS[name] = variant
            return variant
    return None


def similar_trainers(name: str) -> list[str]:
    """Return up to three trainers' names that resemble `name`, the closest first."""
    return similar_names(name, list_trainers())


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
