"""From a paper and a user's selection to a campaign: each dataset's steps, then each trainer's."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nnunet_pancext.campaign.definition import Campaign, ordered, present_versions
from nnunet_pancext.campaign.kinds.convert import Convert
from nnunet_pancext.campaign.kinds.evaluate import Evaluate
from nnunet_pancext.campaign.kinds.predict import Predict
from nnunet_pancext.campaign.kinds.preprocess import Preprocess
from nnunet_pancext.campaign.kinds.splits import Splits
from nnunet_pancext.campaign.kinds.train import Train
from nnunet_pancext.campaign.step import Step
from nnunet_pancext.nnunet_files.folders import RAW
from nnunet_pancext.nnunet_files.model_folder import ModelName
from nnunet_pancext.nnunet_files.plans_file import DEFAULT_PLANS
from nnunet_pancext.reproduction.protocol import Dataset, Paper
from nnunet_pancext.reproduction.selection import PlannedRun, Selection
from nnunet_pancext.trainers.machinery.seeding import seed_from_environment

DEFAULT_DEVICE = "cuda"


def campaign_folder(paper: Paper, selection: Selection) -> Path:
    """Return the folder of a paper's campaign."""
    return selection.out.absolute() / paper.name


def plan_protocol(
    runs: Sequence[PlannedRun], selection: Selection, *, folders: Mapping[str, str]
) -> Campaign:
    """Return the campaign of a selection; a step that several runs share appears once.

    `folders` are nnU-Net's three by their variables.
    """
    steps = [step for run in runs for step in _steps(run, selection, raw=Path(folders[RAW]))]
    unique = list({step.name: step for step in steps}.values())
    return Campaign(
        device=selection.device or DEFAULT_DEVICE,
        seed=seed_from_environment(),
        folders=folders,
        versions=present_versions(),
        steps=ordered(unique, where="the protocol"),
    )


def result_paths(run: PlannedRun, trainer: str) -> tuple[Path, Path]:
    """Return the folders of a trainer's predictions and scores, below the campaign's."""
    name = f"{_model(run, trainer)}__fold_{'_'.join(run.folds)}"
    return Path("predictions", run.dataset.folder, name), Path("scores", run.dataset.folder, name)


def placeholders(dataset: Dataset) -> dict[str, str]:
    """Return by download the word that stands in a command for it where it was not given."""
    return {name: f"{name.upper().replace('-', '_')}_DOWNLOAD" for name in dataset.downloads}


def missing_downloads(step: Convert, dataset: Dataset) -> list[str]:
    """Return the names of the downloads that a conversion was not given."""
    return [name for name, word in placeholders(dataset).items() if word in step.sources]


def _model(run: PlannedRun, trainer: str) -> ModelName:
    return ModelName(trainer, DEFAULT_PLANS, run.configuration)


def _steps(run: PlannedRun, selection: Selection, *, raw: Path) -> Iterator[Step]:
    """Convert, place folds, preprocess; then train, predict and evaluate with each trainer."""
    dataset, probabilities = run.dataset, run.experiment.probabilities
    number, device = f"{dataset.dataset_id:03d}", selection.device or DEFAULT_DEVICE
    model: dict[str, Any] = {
        "dataset": dataset.folder,
        "plans": DEFAULT_PLANS,
        "configuration": run.configuration,
    }
    convert = Convert(
        name=f"convert-{number}",
        layout=dataset.layout,
        sources=tuple(
            str(Path(selection.sources[name]).absolute()) if name in selection.sources else word
            for name, word in placeholders(dataset).items()
        ),
        dataset=dataset.folder,
        split=dataset.split,
        labels=dataset.labels,
        arguments=dataset.options,
    )
    yield convert
    before = convert.name
    if dataset.own_folds:
        splits = Splits(name=f"splits-{number}", needs=(before,), dataset=dataset.folder)
        yield splits
        before = splits.name
    preprocess = Preprocess(
        name=f"preprocess-{number}-{DEFAULT_PLANS}-{run.configuration}", needs=(before,), **model
    )
    yield preprocess
    for trainer in run.trainers:
        predictions, scores = (path.as_posix() for path in result_paths(run, trainer))
        trainings = [
            Train(
                name=f"train-{number}-{trainer}-{DEFAULT_PLANS}-{run.configuration}-{fold}",
                needs=(preprocess.name,),
                fold=fold,
                trainer=trainer,
                device=device,
                probabilities=False,
                **model,
            )
            for fold in run.folds
        ]
        yield from trainings
        predict = Predict(
            name=f"predict-{number}-{trainer}",
            needs=tuple(step.name for step in trainings),
            images=str(raw / dataset.folder / "imagesTs"),
            output=predictions,
            trainer=trainer,
            folds=run.folds,
            probabilities=probabilities,
            device=device,
            **model,
        )
        yield predict
        yield Evaluate(
            name=f"evaluate-{number}-{trainer}",
            needs=(predict.name,),
            predictions=predictions,
            truth=str(raw / dataset.folder / "labelsTs"),
            output=scores,
            probabilities=probabilities,
        )
