"""Finding trained models in nnU-Net's folder of results."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.nnunet_files.dataset_json import DatasetJson, read_dataset_json
from nnunet_pancext.nnunet_files.folders import RESULTS, find_dataset_folder
from nnunet_pancext.nnunet_files.model_folder import SEPARATOR, Fold, ModelName


@dataclass(frozen=True, kw_only=True)
class Model:
    """A trained model: its folder, and what it was trained with."""

    name: str  # in tables: the trainer, with plans or configuration where these differ
    trained_as: ModelName
    folder: Path
    dataset: DatasetJson

    @property
    def ending(self) -> str:
        """The suffix of its predictions."""
        return self.dataset.file_ending

    def fold(self, fold: int | str) -> Fold:
        """Return a fold, which need not exist."""
        return Fold(folder=self.folder / f"fold_{fold}", ending=self.ending)


def find_dataset_results(dataset: str) -> Path:
    """Return the folder of a dataset, given by number or name, in nnU-Net's results; PancextError if none."""
    return find_dataset_folder(RESULTS, dataset)


def find_models(dataset: Path, names: Sequence[str], *, configuration: str, plans: str) -> list[Model]:
    """Return the models of a dataset's results by name; PancextError if fewer than two are found.

    A name is TRAINER, trained with `plans` and `configuration`, or TRAINER__PLANS__CONFIGURATION.
    """
    wanted = [model_name(name, configuration=configuration, plans=plans) for name in names]
    for index, parts in enumerate(wanted):
        if parts in wanted[:index]:
            raise PancextError(f"{names[index]} is given twice. Name each trainer once.")
    if len(wanted) < 2:
        raise PancextError("A comparison needs at least two trainers. Name them all after --trainers.")
    differing = [True, *(len({parts[index] for parts in wanted}) > 1 for index in (1, 2))]
    models = []
    for parts in wanted:
        folder = find_model(dataset, parts)
        models.append(
            Model(
                name=SEPARATOR.join(part for part, differs in zip(parts, differing, strict=True) if differs),
                trained_as=parts,
                folder=folder,
                dataset=read_dataset_json(folder / "dataset.json"),
            )
        )
    return models


def find_model(dataset: Path, name: ModelName) -> Path:
    """Return the folder of a model in a dataset's results; PancextError, which lists the models, if none."""
    folder = dataset / str(name)
    if not folder.is_dir():
        trained = sorted(path.name for path in dataset.glob(f"*{SEPARATOR}*") if path.is_dir())
        listed = "\n  ".join(trained) or "none"
        raise PancextError(
            f"There is no trained model {name} in {dataset}. Trained models:\n  {listed}\n"
            "Name one of these, with --plans and --configuration or in full as "
            "TRAINER__PLANS__CONFIGURATION."
        )
    return folder


def model_name(name: str, *, configuration: str, plans: str) -> ModelName:
    """Read a name as `find_models` takes it; PancextError if it has neither form."""
    if name and SEPARATOR not in name:
        return ModelName(name, plans, configuration)
    parsed = ModelName.parse(name)
    if parsed is None:
        raise PancextError(f"{name!r} is neither TRAINER nor TRAINER__PLANS__CONFIGURATION.")
    return parsed


def reference_of(models: Sequence[Model], name: str | None, *, configuration: str, plans: str) -> Model:
    """Return the model to compare the others with: the first or the named one; PancextError if none is."""
    if name is None:
        return models[0]
    wanted = model_name(name, configuration=configuration, plans=plans)
    matching = [model for model in models if model.trained_as == wanted]
    if not matching:
        raise PancextError(
            f"The reference {name} is not among the trainers compared: {', '.join(m.name for m in models)}. "
            "Name one of them."
        )
    return matching[0]


def shared_ending(models: Sequence[Model]) -> str:
    """Return the suffix of all models' label maps; PancextError if they differ."""
    endings = {model.name: model.ending for model in models}
    if len(set(endings.values())) > 1:
        listed = ", ".join(f"{name} {ending!r}" for name, ending in endings.items())
        raise PancextError(
            f"The file endings of the label maps differ: {listed} in dataset.json. Only models of one file "
            "format can be compared: train them on the same raw dataset."
        )
    return models[0].ending
