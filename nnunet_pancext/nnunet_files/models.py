"""Finding trained models in nnU-Net's folder of results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_json
from nnunet_pancext.nnunet_files.folders import RESULTS, existing_folder

SEPARATOR = "__"  # nnU-Net's, in the folder's name


@dataclass(frozen=True, kw_only=True)
class Model:
    """A trained model: what it was trained with, and its folder, which holds the folds.

    `name` is how the tables call it: the trainer, with plans or configuration where these differ.
    """

    name: str
    trainer: str
    plans: str
    configuration: str
    folder: Path
    dataset_json: dict[str, Any]

    def validation(self, fold: int) -> Path:
        """Return where nnU-Net writes the predictions of the fold's validation cases."""
        return self.folder / f"fold_{fold}" / "validation"


def find_dataset_results(dataset: str) -> Path:
    """Return the folder of a dataset, given by number or name, in nnU-Net's results.

    Raises:
        PancextError: nnUNet_results is not set, or holds no such dataset or several.
    """
    root = existing_folder(RESULTS)
    number = f"Dataset{int(dataset):03d}_" if dataset.isdecimal() else None
    found = [
        path
        for path in sorted(root.iterdir())
        if path.is_dir() and (path.name == dataset if number is None else path.name.startswith(number))
    ]
    if len(found) != 1:
        known = ", ".join(sorted(path.name for path in root.glob("Dataset*"))) or "none"
        which = "no" if not found else "more than one"
        raise PancextError(
            f"There is {which} dataset {dataset!r} in nnUNet_results ({root}); there are: {known}. "
            "Give its number or its name."
        )
    return found[0]


def find_models(dataset: Path, names: Sequence[str], *, configuration: str, plans: str) -> list[Model]:
    """Return the models of a dataset's results, in the order of `names`.

    A name is a trainer's, trained with `plans` and `configuration`, or TRAINER__PLANS__CONFIGURATION.

    Raises:
        PancextError: there are fewer than two names, one is given twice, was never trained, or its folder
            lacks dataset.json.
    """
    wanted = [split_name(name, configuration=configuration, plans=plans) for name in names]
    for index, parts in enumerate(wanted):
        if parts in wanted[:index]:
            raise PancextError(f"{names[index]} is given twice. Name each trainer once.")
    if len(wanted) < 2:
        raise PancextError("A comparison needs at least two trainers. Name them all after --trainers.")
    # a trainer's name is always told, plans and configuration where not all models share them
    told = [True, *(len({parts[place] for parts in wanted}) > 1 for place in (1, 2))]
    models = []
    for parts in wanted:
        folder = dataset / SEPARATOR.join(parts)
        if not folder.is_dir():
            raise PancextError(_never_trained(folder, dataset))
        trainer, plans_name, configuration_name = parts
        models.append(
            Model(
                name=SEPARATOR.join(part for part, is_told in zip(parts, told, strict=True) if is_told),
                trainer=trainer,
                plans=plans_name,
                configuration=configuration_name,
                folder=folder,
                dataset_json=read_json(folder / "dataset.json", expect=dict),
            )
        )
    return models


def split_name(name: str, *, configuration: str, plans: str) -> tuple[str, str, str]:
    """Return trainer, plans and configuration of a name as `find_models` takes it.

    Raises:
        PancextError: the name has two parts, or more than three, or an empty one.
    """
    parts = name.split(SEPARATOR)
    if len(parts) == 1 and name:
        return name, plans, configuration
    if len(parts) != 3 or not all(parts):
        raise PancextError(f"{name!r} is neither TRAINER nor TRAINER__PLANS__CONFIGURATION.")
    return parts[0], parts[1], parts[2]


def reference_of(models: Sequence[Model], name: str | None, *, configuration: str, plans: str) -> Model:
    """Return the model that the others are compared with: the first one, or the one named.

    Raises:
        PancextError: it is not among the models.
    """
    if name is None:
        return models[0]
    wanted = split_name(name, configuration=configuration, plans=plans)
    for model in models:
        if (model.trainer, model.plans, model.configuration) == wanted:
            return model
    raise PancextError(
        f"The reference {name} is not among the trainers compared: {', '.join(m.name for m in models)}. "
        "Name one of them."
    )


def shared_ending(models: Sequence[Model]) -> str:
    """Return the file ending of all models' label maps.

    Raises:
        PancextError: they differ.
    """
    endings = {model.name: str(model.dataset_json.get("file_ending", ".nii.gz")) for model in models}
    first = endings[models[0].name]
    if set(endings.values()) != {first}:
        said = ", ".join(f"{name} {ending!r}" for name, ending in endings.items())
        raise PancextError(
            f"The file endings of the label maps differ: {said} in dataset.json. Only models of files of one "
            "format can be compared: train them on the same raw dataset."
        )
    return first


def _never_trained(folder: Path, dataset: Path) -> str:
    known = sorted(path.name for path in dataset.iterdir() if path.is_dir() and SEPARATOR in path.name)
    listed = "\n  ".join(known) or "none"
    return (
        f"There is no trained model {folder.name} in {dataset}. Found are:\n  {listed}\n"
        "Name one of these, with --plans and --configuration or in full as TRAINER__PLANS__CONFIGURATION."
    )
