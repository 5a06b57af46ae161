"""Will trainings accept `PANCEXT_SEED`?"""

from __future__ import annotations

import os
from collections.abc import Iterator

from nnunet_pancext.doctor.check import Finding, ok, problem
from nnunet_pancext.errors import PancextError

VARIABLE = "PANCEXT_SEED"


def check_seed() -> Iterator[Finding]:
    """Nothing where it is not set: it is optional."""
    value = os.environ.get(VARIABLE)
    if not value:
        return
    from nnunet_pancext.trainers.seeding import seed_from_environment

    try:
        seed_from_environment()
    except PancextError as error:
        yield problem(VARIABLE, repr(value), str(error))
    else:
        yield ok(VARIABLE, f"{value}: trainings are reproducible")
