"""Trainers by name: the classes that the package defines, and their variants made on demand."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from nnunet_pancext.errors import PancextError
from nnunet_pancext.trainers.machinery.base import PancextTrainer
from nnunet_pancext.trainers.machinery.injection import InjectionTrainer
from nnunet_pancext.trainers.machinery.network import NetworkTrainer
from nnunet_pancext.trainers.machinery.suffixes import is_named_suffix, variant_attributes

STOCK, STOCK_WITH_SUFFIXES = "nnUNetTrainer", "nnUNetTrainerBaseline"
MOST_SIMILAR, LEAST_SIMILARITY = 3, 0.8
BASES = (PancextTrainer, NetworkTrainer, InjectionTrainer)


def defined_trainers(names: dict[str, Any]) -> dict[str, type[PancextTrainer]]:
    """Return, in order, the trainer classes among `names`: those that can be named with `-tr`."""
    return {
        name: value
        for name, value in names.items()
        if inspect.isclass(value) and issubclass(value, PancextTrainer) and value not in BASES
    }


def make_variant(
    name: str, trainers: Iterable[type[PancextTrainer]], module: str
) -> type[PancextTrainer] | None:
    """Return the class `name`, such as `SegResNetNLTrainer_50epochs`, or None if no trainer's name starts it.

    Args:
        name: a trainer's name and suffixes.
        trainers: the classes that may carry suffixes.
        module: where the class can be imported from, for pickling.

    Raises:
        PancextError: a trainer's name followed by an unknown suffix, or nnU-Net's own by one of ours.
    """
    base_name, *words = name.split("_")
    if base_name == STOCK and any(map(is_named_suffix, words)):
        raise PancextError(
            f"{STOCK} is nnU-Net's own and takes no suffixes of this package. "
            f"{'_'.join([STOCK_WITH_SUFFIXES, *words])} trains the same network and takes them."
        )
    for trainer in trainers:
        if trainer.__name__ == base_name and words:
            attributes = variant_attributes(trainer, words)
            return type(name, (trainer,), {"__module__": module, "__doc__": trainer.__doc__, **attributes})
    return None


def similar_names(name: str, known: Iterable[str]) -> list[str]:
    """Return up to three of the `known` trainers' names that `name`, without its suffixes, may have meant."""
    by_core = {_core(one): one for one in known}
    close = get_close_matches(_core(name.split("_")[0]), by_core, MOST_SIMILAR, LEAST_SIMILARITY)
    return [by_core[core] for core in close]


def _core(name: str) -> str:
    """Return what tells a trainer's name from others: nnU-Net's prefix alone makes no two alike."""
    return name.lower().removeprefix(STOCK.lower()).removesuffix("trainer")
