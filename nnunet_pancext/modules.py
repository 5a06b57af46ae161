"""Finds what the modules of a package define, so that a new trainer, network or paper is only a new file."""

import inspect
import pkgutil
from collections.abc import Iterable, Iterator
from importlib import import_module
from types import GenericAlias, ModuleType
from typing import Any

PAPERS = "nnunet_pancext.papers"  # entry points: modules of other packages with trainers


def import_modules(package: str, path: Iterable[str]) -> Iterator[ModuleType]:
    """Import the modules of a package, without its sub-packages, in alphabetical order."""
    for name in sorted(module.name for module in pkgutil.iter_modules(path) if not module.ispkg):
        yield import_module(f"{package}.{name}")


def classes_of(module: ModuleType, base: Any) -> dict[str, Any]:
    """Return the subclasses of `base` that `module` or its sub-modules define, in order of definition."""
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isclass(value)
        and not isinstance(value, GenericAlias)  # a class to Python 3.10, such as dict[str, int]
        and issubclass(value, base)
        and f"{value.__module__}.".startswith(f"{module.__name__}.")
    }
