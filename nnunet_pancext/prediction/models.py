"""Which trained models a prediction runs: from a folder, nnU-Net's names, or its best configuration."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnunet_pancext.checkpoints.checkpoint import read_checkpoint
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_json
from nnunet_pancext.nnunet_files.best_configuration import FIND_AGAIN, INFORMATION, read_best_configuration
from nnunet_pancext.nnunet_files.dataset_json import NAME, DatasetJson, read_dataset_json
from nnunet_pancext.nnunet_files.model_folder import ALL, FINAL, SEPARATOR, ModelName
from nnunet_pancext.nnunet_files.models import find_dataset_results, find_model
from nnunet_pancext.nnunet_files.plans_file import configuration_of

PLANS = "plans.json"
COPY_AGAIN = "Copy the model again."
INTENSITIES = (  # the second is nnU-Net's former name
    "foreground_intensity_properties_per_channel",
    "foreground_intensity_properties_by_modality",
)


@dataclass(frozen=True, kw_only=True)
class ChosenModel:
    """A trained configuration, the folds to run, and the stage before it in nnU-Net's cascade.

    `name` has empty trainer and plans where the folder is not called TRAINER__PLANS__CONFIGURATION.
    """

    folder: Path
    name: ModelName
    folds: tuple[str, ...]
    checkpoint: str
    dataset: DatasetJson
    plans: dict[str, Any]
    previous: "ChosenModel | None" = None

    @property
    def files(self) -> list[Path]:
        """The files that a prediction depends on, without those of the previous stage."""
        folds = [self.folder / f"fold_{fold}" / self.checkpoint for fold in self.folds]
        return [self.folder / PLANS, self.folder / NAME, *folds]

    @property
    def stages(self) -> list["ChosenModel"]:
        """The stages in the order in which they run; this model is the last."""
        return [*(self.previous.stages if self.previous else ()), self]

    @property
    def settings(self) -> dict[str, Any]:
        """The plan's settings of the configuration, with those that it inherits."""
        source = self.folder / PLANS
        return configuration_of(self.plans, self.name.configuration, source=source, remedy=COPY_AGAIN)

    def __str__(self) -> str:
        folds = f"fold{'s' * (len(self.folds) > 1)} {' '.join(self.folds)}"
        return f"{self.folder.name}, {folds} ({self.checkpoint})"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One model, or several whose probabilities are averaged, and the postprocessing of their label map."""

    models: tuple[ChosenModel, ...]
    postprocessing: Path | None = None

    @property
    def stages(self) -> list[ChosenModel]:
        """Every configuration once, each after the stage before it."""
        stages: dict[Path, ChosenModel] = {}
        for model in self.models:
            for stage in model.stages:
                stages.setdefault(stage.folder, stage)
        return list(stages.values())


def choose_folder(folder: Path, *, folds: Sequence[str] = (), checkpoint: str = FINAL) -> Choice:
    """Return the model in a folder that nnUNetv2_train wrote; raises PancextError as `open_model`."""
    return Choice(models=(open_model(folder, folds=folds, checkpoint=checkpoint),))


def choose_by_name(
    dataset: str, name: ModelName, *, folds: Sequence[str] = (), checkpoint: str = FINAL
) -> Choice:
    """Return the model in nnU-Net's results; PancextError if there is none, or as `open_model`."""
    folder = find_model(find_dataset_results(dataset), name)
    return Choice(models=(open_model(folder, folds=folds, checkpoint=checkpoint),))


def choose_best(best: str, *, folds: Sequence[str] = (), checkpoint: str = FINAL) -> Choice:
    """Return what nnUNetv2_find_best_configuration chose, with its folds unless others are given.

    `best` is the dataset, or a copy of the inference_information.json that nnU-Net wrote.

    Raises:
        PancextError: the file is missing or malformed, the postprocessing is not there, or as `open_model`.
    """
    if best.endswith(".json"):
        file = Path(best)
        if not file.is_file():
            raise PancextError(f"--best {best}: there is no such file. Give a copy of {INFORMATION}.")
        found = read_best_configuration(file)
        if not found.dataset:
            raise PancextError(f"{file} does not name its dataset. {FIND_AGAIN}")
        root = find_dataset_results(found.dataset)
    else:
        root = find_dataset_results(best)
        file = root / INFORMATION
        if not file.is_file():
            raise PancextError(
                f"--best {best}: there is no {file}. Run nnUNetv2_find_best_configuration {best} first, or "
                "choose a model with -d, -c and -tr."
            )
        found = read_best_configuration(file)
    models = tuple(
        open_model(find_model(root, name), folds=folds or found.folds, checkpoint=checkpoint)
        for name in found.models
    )
    postprocessing = _find_postprocessing(found.postprocessing, root=root, source=file)
    return Choice(models=models, postprocessing=postprocessing)


def open_model(
    folder: Path, *, folds: Sequence[str] = (), checkpoint: str = FINAL, later: tuple[str, ...] = ()
) -> ChosenModel:
    """Return a trained model with these folds, by default every numbered fold with the checkpoint, else all.

    `later` are the configurations of nnU-Net's cascade that follow it.

    Raises:
        PancextError: the folder is not a trained model, a fold or the stage before it is missing, or the plan
            does not have the configuration.
    """
    folder = folder.absolute()
    for name in (PLANS, NAME):
        if not (folder / name).is_file():
            problem = f"it has no {name}" if folder.is_dir() else "there is no such folder"
            raise PancextError(
                f"{folder} is not a trained model: {problem}. Give the folder that nnUNetv2_train wrote, "
                "$nnUNet_results/DatasetXXX_Name/TRAINER__PLANS__CONFIGURATION."
            )
    plans = read_json(folder / PLANS, expect=dict, remedy=COPY_AGAIN)
    dataset = read_dataset_json(folder / NAME, remedy=COPY_AGAIN)
    chosen = _choose_folds(folder, folds, checkpoint=checkpoint)
    parsed = ModelName.parse(folder.resolve().name)
    if parsed is None:  # renamed, or given by a link
        parsed = ModelName("", "", read_checkpoint(folder / f"fold_{chosen[0]}" / checkpoint).configuration)
    settings = configuration_of(plans, parsed.configuration, source=folder / PLANS, remedy=COPY_AGAIN)
    previous = settings.get("previous_stage")
    return ChosenModel(
        folder=folder,
        name=parsed,
        folds=chosen,
        checkpoint=checkpoint,
        dataset=dataset,
        plans=plans,
        previous=None
        if previous is None
        else _open_previous(folder, parsed, str(previous), folds=chosen, checkpoint=checkpoint, later=later),
    )


def require_usable_plan(model: ChosenModel) -> None:
    """Raise PancextError unless the plan says how each channel and axis of an image is prepared."""
    plans, settings, channels = model.plans, model.settings, len(model.dataset.channel_names)
    forward, backward = (plans.get(f"transpose_{way}") for way in ("forward", "backward"))
    is_order = isinstance(forward, list) and sorted(map(repr, forward)) == ["0", "1", "2"]
    if not is_order or backward != np.argsort(np.array(forward)).tolist():
        problem = "no order of the axes, or no way back: transpose_forward, transpose_backward"
    elif any(
        not isinstance(settings.get(key), list) or len(settings[key]) < channels
        for key in ("normalization_schemes", "use_mask_for_norm")
    ):
        problem = "no normalization_schemes and use_mask_for_norm for each channel"
    elif not any(_has_intensities(plans.get(key), channels) for key in INTENSITIES):
        problem = "no foreground_intensity_properties_per_channel for each channel"
    else:
        return
    raise PancextError(f"{model.folder / PLANS} has {problem}. {COPY_AGAIN}")


def _has_intensities(properties: Any, channels: int) -> bool:
    return isinstance(properties, dict) and all(
        isinstance(properties.get(str(channel)), dict) for channel in range(channels)
    )


def _choose_folds(folder: Path, folds: Sequence[str], *, checkpoint: str) -> tuple[str, ...]:
    """Return the folds, which have the checkpoint; those found are in nnU-Net's order."""
    if Path(checkpoint).name != checkpoint or checkpoint in ("", ".."):
        raise PancextError(f"-chk {checkpoint} is not the name of a file in fold_0, fold_1, … Give its name.")
    if (twice := {fold for fold in folds if list(folds).count(fold) > 1}) != set():
        raise PancextError(f"-f names fold {', '.join(sorted(twice))} twice. Name each fold once.")
    trained = sorted(
        fold.name.removeprefix("fold_") for fold in folder.glob("fold_*") if (fold / checkpoint).is_file()
    )
    trained = [fold for fold in trained if fold == ALL or fold.isdecimal()]
    numbered = [fold for fold in trained if fold != ALL]
    missing = [fold for fold in folds if fold not in trained]
    if missing or not trained:
        others = sorted({path.name for path in folder.glob("fold_*/*.pth")} - {checkpoint})
        there = f"Folds with a {checkpoint}: {', '.join(trained) or 'none'}."
        hint = f" Other checkpoints: {', '.join(others)}; choose one with -chk." if others else ""
        what = f"fold {', '.join(missing)}" if missing else "trained fold"
        raise PancextError(f"{folder} has no {what}. {there}{hint or ' Choose with -f, or train it.'}")
    return tuple(folds) or tuple(numbered) or (ALL,)


def _open_previous(
    folder: Path,
    name: ModelName,
    configuration: str,
    *,
    folds: Sequence[str],
    checkpoint: str,
    later: tuple[str, ...],
) -> ChosenModel:
    """Return the stage before a configuration of nnU-Net's cascade, of the same trainer, plans and folds."""
    if not name.trainer:
        raise PancextError(
            f"{folder} is the second stage of nnU-Net's cascade; the stage before it, {configuration}, is "
            "found by the folder's name. Rename the folder to TRAINER__PLANS__CONFIGURATION."
        )
    later = (*later, name.configuration)
    if configuration in later:
        raise PancextError(
            f"{folder / PLANS} has stages of nnU-Net's cascade that follow each other in a circle: "
            f"{', '.join(later)}. {COPY_AGAIN}"
        )
    before = folder.resolve().parent / SEPARATOR.join((name.trainer, name.plans, configuration))
    if not before.is_dir():
        raise PancextError(
            f"{folder} is the second stage of nnU-Net's cascade, and the stage before it is missing: "
            f"{before}. Train it, or copy it there."
        )
    return open_model(before, folds=folds, checkpoint=checkpoint, later=later)


def _find_postprocessing(recorded: Path, *, root: Path, source: Path) -> Path:
    """Return postprocessing.pkl in the dataset's results, wherever they were when it was written."""
    parts = recorded.parts
    if root.name in parts:
        moved = root.joinpath(*parts[len(parts) - parts[::-1].index(root.name) :])
        if ".." not in parts and moved.is_file():
            return moved
    if recorded.is_file():
        return recorded
    raise PancextError(
        f"{source} names the postprocessing {recorded}, which is not there. Copy the folder "
        f"{recorded.parent.name} to where it was, or run nnUNetv2_find_best_configuration again."
    )


def require_together(choice: Choice) -> None:
    """Refuse stages that read images, or label voxels, in different ways."""
    first = choice.models[0]
    for stage in choice.stages:
        same_reader = stage.plans.get("image_reader_writer") == first.plans.get("image_reader_writer")
        if not same_reader or stage.dataset.labels != first.dataset.labels:
            what = "labels" if same_reader else "image reader"
            raise PancextError(
                f"{stage.folder.name} and {first.folder.name} differ in their {what}, so they cannot be run "
                "together. Train them on the same dataset with the same plans."
            )
