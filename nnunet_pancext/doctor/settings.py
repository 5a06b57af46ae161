"""Will trainings accept the package's own environment variables?"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from nnunet_pancext.doctor.check import Finding, ok, problem
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.progress_interval import VARIABLE as PROGRESS
from nnunet_pancext.io.progress_interval import interval_from_environment

SEED = "PANCEXT_SEED"


def check_seed() -> Iterator[Finding]:
    """Nothing where it is not set: it is optional."""

    def read() -> object:
        from nnunet_pancext.trainers.machinery.seeding import seed_from_environment

        return seed_from_environment()

    return _check(SEED, read, meaning="trainings are reproducible")


def check_progress_interval() -> Iterator[Finding]:
    """Nothing where it is not set: it is optional."""
    return _check(PROGRESS, interval_from_environment, meaning="seconds between two lines within an epoch")


def _check(variable: str, read: Callable[[], object], *, meaning: str) -> Iterator[Finding]:
    value = os.environ.get(variable)
    if not value:
        return
    try:
        read()
    except PancextError as error:
        yield problem(variable, repr(value), str(error))
    else:
        yield ok(variable, f"{value}: {meaning}")
