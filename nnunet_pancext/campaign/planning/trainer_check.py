"""Whether nnU-Net will find a trainer, seen before anything runs."""

import os
import re
from collections.abc import Sequence
from contextlib import redirect_stdout
from difflib import get_close_matches
from functools import lru_cache
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from warnings import catch_warnings, simplefilter

from nnunet_pancext.campaign.training_length import STOCK
from nnunet_pancext.errors import PancextError

EXTERNAL = "nnUNet_extTrainer"  # nnU-Net's variable of folders with further trainers
CLASS = re.compile(r"^class (\w+)\b", re.MULTILINE)


def require_trainers(names: Sequence[str]) -> None:
    """Raise PancextError unless each name is that of one trainer, whose extra is installed."""
    optional = []
    for name in names:
        if name in _classes_of_nnunet() or name in _classes_in(
            os.environ.get(EXTERNAL, "").split(os.pathsep)
        ):
            continue
        from nnunet_pancext.trainers import find_trainer

        trainer = find_trainer(name)
        if trainer is None:
            _require_found_by_nnunet(name)
        elif trainer.extra is not None:
            optional.append(name)
    if optional:
        from nnunet_pancext.architectures.monai_networks import monai_networks

        try:
            monai_networks()
        except PancextError as error:
            raise PancextError(f"{', '.join(optional)}: {error}. Or leave it out of -tr.") from error


@lru_cache
def _classes_of_nnunet() -> frozenset[str]:
    """Return the classes in nnU-Net's folder of trainers, without the seconds that their import takes."""
    spec = find_spec("nnunetv2")
    roots = spec.submodule_search_locations if spec else None
    return frozenset(_classes_in([str(Path(root) / "training" / STOCK) for root in roots or ()]))


def _classes_in(folders: Sequence[str]) -> set[str]:
    files = (file for folder in folders if folder for file in Path(folder).rglob("*.py"))
    return {name for file in files for name in CLASS.findall(file.read_text("utf-8", errors="replace"))}


def _require_found_by_nnunet(name: str) -> None:
    """Raise PancextError, with the closest names, unless nnU-Net's own look-up finds the trainer."""
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

    from nnunet_pancext.trainers import list_trainers, similar_trainers

    try:
        with redirect_stdout(StringIO()), catch_warnings():
            simplefilter("ignore")
            recursive_find_trainer_class_by_name(name)
    except Exception as error:  # whatever a module raises that it imports
        stock = [other for other in _classes_of_nnunet() if other.startswith(STOCK)]
        close = similar_trainers(name) or get_close_matches(name, [*list_trainers(), *stock])
        meant = f" Did you mean {' or '.join(close)}?" if close else ""
        raise PancextError(
            f"-tr {name}: nnU-Net finds no trainer of this name.{meant} `pancext trainers --all` lists ours."
        ) from error
