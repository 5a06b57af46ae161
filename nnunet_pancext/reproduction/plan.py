"""From a paper and a user's selection to the list of steps: the dataset's, then each trainer's."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from nnunet_pancext.io.label_maps import find_cases
from nnunet_pancext.io.nifti_scan import count_non_finite
from nnunet_pancext.io.unreadable import UnreadableImage
from nnunet_pancext.nnunet_commands.progress import TrainingProgress
from nnunet_pancext.nnunet_files.folders import expand
from nnunet_pancext.reproduction.protocol import STOCK
from nnunet_pancext.reproduction.selection import PlannedRun, Selection
from nnunet_pancext.reproduction.steps import ENDING, PLANS, Step, data_steps, label_maps

TRAIN = "nnUNetv2_train"


class TrainingLength(NamedTuple):
    """How long a trainer trains one fold."""

    epochs: int
    iterations: int


STOCK_LENGTH = TrainingLength(epochs=1000, iterations=250)


def training_length(trainer: str) -> TrainingLength:
    """Return the length of a trainer's training; nnU-Net's own where the class does not set another."""
    from nnunet_pancext.trainers import find_trainer

    trainer_class = None if trainer == STOCK else find_trainer(trainer)
    return TrainingLength(
        epochs=getattr(trainer_class, "num_epochs", STOCK_LENGTH.epochs),
        iterations=getattr(trainer_class, "num_iterations_per_epoch", STOCK_LENGTH.iterations),
    )


def plan_steps(runs: list[PlannedRun], selection: Selection) -> list[Step]:
    """Return all steps in order; a step that several runs share appears once."""
    steps = [step for run in runs for step in (*data_steps(run, selection), *_trainer_steps(run, selection))]
    return list({step.words: step for step in steps}.values())


def result_folder(run: PlannedRun, trainer: str, *, out: Path) -> Path:
    """Return the folder of a trainer's `predictions` and `scores`, named by all that they depend on."""
    return out / run.dataset.folder / f"{trainer}__{PLANS}__{run.configuration}__fold_{'_'.join(run.folds)}"


def _trainer_steps(run: PlannedRun, selection: Selection) -> Iterator[Step]:
    device = ("-device", selection.device) if selection.device else ()
    for trainer in run.trainers:
        model = f"$nnUNet_results/{run.dataset.folder}/{trainer}__{PLANS}__{run.configuration}"
        folder = result_folder(run, trainer, out=selection.out)
        for fold in run.folds:
            yield _training(run, trainer, fold, model=model, device=device)
        yield _prediction(run, trainer, folder / "predictions", model=model, device=device)
        yield _evaluation(run, trainer, folder)


def _training(run: PlannedRun, trainer: str, fold: str, *, model: str, device: tuple[str, ...]) -> Step:
    result = f"{model}/fold_{fold}"

    def has_checkpoint(kind: str) -> bool:
        return zipfile.is_zipfile(Path(expand(result)) / f"checkpoint_{kind}.pth")

    def is_finished() -> bool:
        return has_checkpoint("final") and Path(expand(result), "validation", "summary.json").is_file()

    def further_words() -> tuple[str, ...]:
        """Rename half-written checkpoints, so that nnU-Net takes the one before."""
        for file in Path(expand(result)).glob("checkpoint_*.pth"):
            if not zipfile.is_zipfile(file):
                file.rename(file.with_name(f"{file.name}.broken"))
        if has_checkpoint("final"):
            return ("--val",)
        return ("--c",) if has_checkpoint("latest") or has_checkpoint("best") else ()

    return Step(
        title=f"train {trainer}, fold {fold}",
        words=(TRAIN, str(run.dataset.dataset_id), run.configuration, fold, "-tr", trainer, *device),
        result=result,
        is_finished=is_finished,
        further_words=further_words,
        progress=lambda: TrainingProgress(training_length(trainer).epochs),
        trainer=trainer,
    )


def _prediction(
    run: PlannedRun, trainer: str, predictions: Path, *, model: str, device: tuple[str, ...]
) -> Step:
    """The test cases are predicted; predictions older than the checkpoints are outdated."""
    dataset, probabilities = run.dataset, run.experiment.probabilities

    def complete() -> set[str]:
        models = [Path(expand(f"{model}/fold_{fold}/checkpoint_final.pth")) for fold in run.folds]
        trained_at = max((file.stat().st_mtime for file in models if file.is_file()), default=0.0)
        return {
            case
            for case in find_cases(predictions, ENDING)
            for image in [predictions / f"{case}{ENDING}"]
            if image.stat().st_mtime >= trained_at and _is_readable(image)
            if not probabilities or (predictions / f"{case}.npz").is_file()
        }

    def is_finished() -> bool:
        cases = label_maps(dataset, "labelsTs")
        return bool(cases) and cases <= complete()

    def further_words() -> tuple[str, ...]:
        """Remove half-written and outdated predictions."""
        kept = complete()
        for case in find_cases(predictions, ENDING) - kept:
            (predictions / f"{case}{ENDING}").unlink()
        return ("--continue_prediction",) if kept else ()

    return Step(
        title=f"predict the test set with {trainer}",
        words=(
            *("nnUNetv2_predict", "-i", f"$nnUNet_raw/{dataset.folder}/imagesTs", "-o", str(predictions)),
            *("-d", str(dataset.dataset_id), "-c", run.configuration, "-f", *run.folds, "-tr", trainer),
            *device,
            *(("--save_probabilities",) if probabilities else ()),
        ),
        result=str(predictions),
        is_finished=is_finished,
        further_words=further_words,
        progress=lambda: _predicted_case,
        trainer=trainer,
    )


def _predicted_case(line: str) -> str | None:
    return line.rstrip(":").lower() if line.startswith("Predicting ") else None


def _is_readable(image: Path) -> bool:
    try:
        count_non_finite(image)
    except UnreadableImage:
        return False
    return True


def _evaluation(run: PlannedRun, trainer: str, folder: Path) -> Step:
    predictions, scores = folder / "predictions", folder / "scores"
    summary = scores / "summary.json"

    def is_finished() -> bool:
        return summary.is_file() and all(
            file.stat().st_mtime <= summary.stat().st_mtime for file in predictions.glob(f"*{ENDING}")
        )

    truth = f"$nnUNet_raw/{run.dataset.folder}/labelsTs"
    return Step(
        title=f"evaluate {trainer}",
        words=(
            *("pancext", "evaluate", str(predictions), truth, "-o", str(scores)),
            *(("--probabilities",) if run.experiment.probabilities else ()),
        ),
        result=str(summary),
        is_finished=is_finished,
    )
