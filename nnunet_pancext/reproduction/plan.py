"""From a paper and what a user chose of it to the list of steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.reproduction.choices import Choices, Trial
from nnunet_pancext.reproduction.estimate import training_length
from nnunet_pancext.reproduction.protocol import Dataset
from nnunet_pancext.reproduction.steps import (
    PLANS,
    Conversion,
    Evaluation,
    FoldsPlacing,
    Planning,
    Prediction,
    Step,
    Training,
    placeholders,
)


@dataclass(frozen=True, kw_only=True)
class ResultFolder:
    """Where the predictions and scores of one trainer lie."""

    root: Path

    @property
    def predictions(self) -> Path:
        """Predicted label maps of the test set."""
        return self.root / "predictions"

    @property
    def scores(self) -> Path:
        """Tables of `pancext evaluate`."""
        return self.root / "scores"

    @property
    def summary(self) -> Path:
        """The scores over all cases."""
        return self.scores / "summary.json"


def result_folder(trial: Trial, trainer: str, *, out: Path) -> ResultFolder:
    """Return the place of a trainer's results, which tells everything that they depend on."""
    model = f"{trainer}__{PLANS}__{trial.configuration}__fold_{'_'.join(trial.folds)}"
    return ResultFolder(root=out / trial.dataset.folder / model)


def plan_steps(trials: list[Trial], choices: Choices) -> list[Step]:
    """Return all steps, in order; what several trials share is there once."""
    steps = [
        step
        for trial in trials
        for step in (*prepare_data(trial, choices), *train_and_test(trial, choices=choices))
    ]
    return list({step.words: step for step in steps}.values())


def prepare_data(trial: Trial, choices: Choices) -> Iterator[Step]:
    """Convert, place folds, plan."""
    dataset = trial.dataset
    raw, preprocessed = f"$nnUNet_raw/{dataset.folder}", f"$nnUNet_preprocessed/{dataset.folder}"
    yield Conversion(
        title=f"convert: {dataset.title}",
        words=dataset.conversion(locations(dataset, choices)),
        result=f"{raw}/conversion_report.json",
        dataset=dataset,
    )
    identifier = str(dataset.dataset_id)
    if dataset.own_folds:
        yield FoldsPlacing(
            title="put the split's folds where nnU-Net reads them",
            words=("pancext", "splits", "apply", identifier),
            result=f"{preprocessed}/splits_final.json",
            split=f"{raw}/split.json",
        )
    yield Planning(
        title=f"plan and preprocess {dataset.folder}, {trial.configuration}",
        words=(
            *("nnUNetv2_plan_and_preprocess", "-d", identifier, "-c", trial.configuration),
            "--verify_dataset_integrity",
        ),
        result=f"{preprocessed}/{PLANS}.json",
        dataset=dataset,
        configuration=trial.configuration,
    )


def locations(dataset: Dataset, choices: Choices) -> tuple[str, ...]:
    """Return where the downloads lie, or what stands for those that were not given."""
    return tuple(
        choices.sources.get(name, unknown)
        for name, unknown in zip(dataset.downloads, placeholders(dataset), strict=True)
    )


def train_and_test(trial: Trial, *, choices: Choices) -> Iterator[Step]:
    """Train, predict and evaluate, trainer by trainer."""
    dataset = trial.dataset
    identifier = str(dataset.dataset_id)
    device = ("-device", choices.device) if choices.device else ()
    raw = f"$nnUNet_raw/{dataset.folder}"
    probabilities = trial.experiment.probabilities
    for trainer in trial.trainers:
        model = f"$nnUNet_results/{dataset.folder}/{trainer}__{PLANS}__{trial.configuration}"
        for fold in trial.folds:
            yield Training(
                title=f"train {trainer}, fold {fold}",
                words=(
                    *("nnUNetv2_train", identifier, trial.configuration, fold, "-tr", trainer),
                    *device,
                ),
                result=f"{model}/fold_{fold}",
                trainer=trainer,
                num_epochs=training_length(trainer).epochs,
            )
        folder = result_folder(trial, trainer, out=choices.out)
        yield Prediction(
            title=f"predict the test set with {trainer}",
            words=(
                *("nnUNetv2_predict", "-i", f"{raw}/imagesTs", "-o", str(folder.predictions)),
                *("-d", identifier, "-c", trial.configuration, "-f", *trial.folds, "-tr", trainer),
                *device,
                *(("--save_probabilities",) if probabilities else ()),
            ),
            result=str(folder.predictions),
            trainer=trainer,
            dataset=dataset,
            probabilities=probabilities,
            checkpoints=tuple(f"{model}/fold_{fold}/checkpoint_final.pth" for fold in trial.folds),
        )
        yield Evaluation(
            title=f"evaluate {trainer}",
            words=(
                *("pancext", "evaluate", str(folder.predictions), f"{raw}/labelsTs"),
                *("-o", str(folder.scores)),
                *(("--probabilities",) if probabilities else ()),
            ),
            result=str(folder.summary),
            predictions=str(folder.predictions),
        )
