"""From a paper and a user's selection to the list of steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.reproduction.estimate import training_length
from nnunet_pancext.reproduction.protocol import Dataset
from nnunet_pancext.reproduction.selection import PlannedRun, Selection
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
    """A trainer's results on the test set: predicted label maps, and the tables of `pancext evaluate`."""

    predictions: Path
    scores: Path

    @property
    def summary(self) -> Path:
        """The scores over all cases."""
        return self.scores / "summary.json"


def result_folder(run: PlannedRun, trainer: str, *, out: Path) -> ResultFolder:
    """Return where a trainer's results are; the name has everything that they depend on."""
    model = f"{trainer}__{PLANS}__{run.configuration}__fold_{'_'.join(run.folds)}"
    root = out / run.dataset.folder / model
    return ResultFolder(predictions=root / "predictions", scores=root / "scores")


def plan_steps(runs: list[PlannedRun], selection: Selection) -> list[Step]:
    """Return all steps in order; a step that several runs share appears once."""
    steps = [
        step
        for run in runs
        for step in (*prepare_data(run, selection), *train_and_test(run, selection=selection))
    ]
    return list({step.words: step for step in steps}.values())


def prepare_data(run: PlannedRun, selection: Selection) -> Iterator[Step]:
    """Convert, place folds, plan."""
    dataset = run.dataset
    raw, preprocessed = f"$nnUNet_raw/{dataset.folder}", f"$nnUNet_preprocessed/{dataset.folder}"
    yield Conversion(
        title=f"convert: {dataset.title}",
        words=dataset.conversion(source_paths(dataset, selection)),
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
    planning = ("nnUNetv2_plan_and_preprocess", "-d", identifier, "-c", run.configuration)
    yield Planning(
        title=f"plan and preprocess {dataset.folder}, {run.configuration}",
        words=(*planning, "--verify_dataset_integrity"),
        result=f"{preprocessed}/{PLANS}.json",
        dataset=dataset,
        configuration=run.configuration,
    )


def source_paths(dataset: Dataset, selection: Selection) -> tuple[str, ...]:
    """Return the paths of the downloads, or placeholders for those that were not given."""
    return tuple(
        selection.sources.get(name, placeholder)
        for name, placeholder in zip(dataset.downloads, placeholders(dataset), strict=True)
    )


def train_and_test(run: PlannedRun, *, selection: Selection) -> Iterator[Step]:
    """Train, predict and evaluate, trainer by trainer."""
    dataset = run.dataset
    identifier = str(dataset.dataset_id)
    device = ("-device", selection.device) if selection.device else ()
    raw = f"$nnUNet_raw/{dataset.folder}"
    probabilities = run.experiment.probabilities
    for trainer in run.trainers:
        model = f"$nnUNet_results/{dataset.folder}/{trainer}__{PLANS}__{run.configuration}"
        for fold in run.folds:
            training = ("nnUNetv2_train", identifier, run.configuration, fold, "-tr", trainer)
            yield Training(
                title=f"train {trainer}, fold {fold}",
                words=(*training, *device),
                result=f"{model}/fold_{fold}",
                trainer=trainer,
                num_epochs=training_length(trainer).epochs,
            )
        folder = result_folder(run, trainer, out=selection.out)
        predictions = str(folder.predictions)
        yield Prediction(
            title=f"predict the test set with {trainer}",
            words=(
                *("nnUNetv2_predict", "-i", f"{raw}/imagesTs", "-o", predictions),
                *("-d", identifier, "-c", run.configuration, "-f", *run.folds, "-tr", trainer, *device),
                *(("--save_probabilities",) if probabilities else ()),
            ),
            result=predictions,
            trainer=trainer,
            dataset=dataset,
            probabilities=probabilities,
            checkpoints=tuple(f"{model}/fold_{fold}/checkpoint_final.pth" for fold in run.folds),
        )
        yield Evaluation(
            title=f"evaluate {trainer}",
            words=(
                *("pancext", "evaluate", predictions, f"{raw}/labelsTs", "-o", str(folder.scores)),
                *(("--probabilities",) if probabilities else ()),
            ),
            result=str(folder.summary),
            predictions=predictions,
        )
