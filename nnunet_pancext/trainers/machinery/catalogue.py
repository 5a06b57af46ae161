"""Finds trainer classes: the package's own, those of other packages, and variants with suffixes."""

import warnings
from difflib import get_close_matches
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from nnunet_pancext.errors import PancextError
from nnunet_pancext.modules import PAPERS, classes_of, import_modules
from nnunet_pancext.trainers.machinery.base import PancextTrainer
from nnunet_pancext.trainers.machinery.suffixes import is_named_suffix, variant_attributes

Trainers = dict[str, type[PancextTrainer]]

PACKAGE = "nnunet_pancext.trainers"
STOCK, STOCK_WITH_SUFFIXES = "nnUNetTrainer", "nnUNetTrainerBaseline"
MOST_SIMILAR, LEAST_SIMILARITY = 3, 0.8

_others: Trainers | None = None
_variants: Trainers = {}


@lru_cache
def own_trainers() -> Trainers:
    """Return this package's trainers: families by `order`, each in the order of its module."""
    modules = import_modules(PACKAGE, [str(Path(__file__).parents[1])])
    families = [family for module in modules if (family := _trainers_of(module))]
    families.sort(key=lambda family: next(iter(family.values())).order)
    return {name: trainer for family in families for name, trainer in family.items()}


def other_trainers() -> Trainers:
    """Return the trainers of other packages, from their entry points in the group `nnunet_pancext.papers`.

    A package that cannot be imported, and a name that is already taken, is skipped with a warning.
    """
    global _others
    if _others is None:
        _others = {}  # while a module loads, it may ask for this package's trainers
        loaded: Trainers = {}
        for entry in entry_points(group=PAPERS):
            loaded.update(_load(entry, taken={**own_trainers(), **loaded}))
        _others = loaded
    return _others


def list_trainers() -> Trainers:
    """Return all trainers by name, without variants: this package's, then those of other packages."""
    return {**own_trainers(), **other_trainers()}


def find_trainer(name: str) -> type[PancextTrainer] | None:
    """Return the trainer class `name`, with or without suffixes, or None if there is none.

    Raises:
        PancextError: a trainer with an unknown suffix, or nnU-Net's own with one of ours.
    """
    base_name, *words = name.split("_")
    if base_name == STOCK and any(map(is_named_suffix, words)):
        raise PancextError(
            f"{STOCK} is nnU-Net's own and takes no suffixes of this package. "
            f"{'_'.join([STOCK_WITH_SUFFIXES, *words])} trains the same network and takes them."
        )
    trainer = own_trainers().get(base_name) or other_trainers().get(base_name)
    if trainer is None or not words:
        return trainer
    if name not in _variants:
        attributes = variant_attributes(trainer, words)
        origin = {"__module__": PACKAGE, "__doc__": trainer.__doc__}  # imported from there when unpickled
        _variants[name] = type(name, (trainer,), {**origin, **attributes})
    return _variants[name]


def similar_trainers(name: str) -> list[str]:
    """Return up to three trainers' names that resemble `name` without its suffixes, the closest first."""
    by_core = {_core(other): other for other in list_trainers()}
    close = get_close_matches(_core(name.split("_")[0]), by_core, MOST_SIMILAR, LEAST_SIMILARITY)
    return [by_core[core] for core in close]


def _core(name: str) -> str:
    """Return the distinctive part of a trainer's name, without nnU-Net's prefix and "Trainer"."""
    return name.lower().removeprefix(STOCK.lower()).removesuffix("trainer")


def _trainers_of(module: ModuleType) -> Trainers:
    """Return the trainers that a module defines; a class without a `paper` is a base."""
    classes = classes_of(module, PancextTrainer)
    return {name: trainer for name, trainer in classes.items() if hasattr(trainer, "paper")}


def _load(entry: EntryPoint, taken: Trainers) -> Trainers:
    package = entry.dist.name if entry.dist else entry.value
    try:
        module = entry.load()
        if not isinstance(module, ModuleType):
            raise TypeError(f"{entry.value} is not a module")
    except Exception as error:  # another package's errors must not break this one
        _warn(f"The trainers of {package} cannot be loaded: {type(error).__name__}: {error}")
        return {}
    offered = _trainers_of(module)
    problems = {name: "this name is taken" for name in offered if name in taken}
    problems |= {name: "a trainer's name cannot contain '_'" for name in offered if "_" in name}
    for name, problem in problems.items():
        _warn(f"{name} of {package} ({entry.value}) is not available: {problem}. Rename it there.")
    return {name: trainer for name, trainer in offered.items() if name not in problems}


def _warn(message: str) -> None:
    warnings.warn(f"nnunet_pancext: {message}", stacklevel=2)
