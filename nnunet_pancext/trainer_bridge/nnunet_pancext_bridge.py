"""Passes the trainers of nnunet_pancext to nnU-Net's lookup, which imports this file under its bare name.

It stands alone in its folder because nnU-Net imports every module there and forgets it again afterwards.
The trainers themselves come from the package, so the class found is the class that `import` gives.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    try:
        from nnunet_pancext.errors import NNUNetCommandError, PancextError
    except ModuleNotFoundError as error:
        # The variable was inherited by another environment, in which the package is not installed.
        # (The second name: there, a folder that is called like the package, such as a clone, is on sys.path.)
        if error.name in ("nnunet_pancext", "nnunet_pancext.errors"):
            raise AttributeError(name) from None
        raise
    try:
        from nnunet_pancext.trainers import find_trainer, similar_trainers

        trainer = find_trainer(name)
    except PancextError as error:
        raise NNUNetCommandError(f"nnunet_pancext: {error}") from None
    if trainer is None:
        # nnU-Net searches here last, after its own trainers and the user's.
        similar = similar_trainers(name)
        if similar:
            raise NNUNetCommandError(
                f"nnunet_pancext: there is no trainer {name}. Similar: {', '.join(similar)}. "
                "`pancext trainers --all` lists all."
            )
        raise AttributeError(name)
    return trainer
