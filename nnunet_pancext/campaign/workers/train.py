"""Trains and validates a fold as nnUNetv2_train does, so that a kill costs at most an epoch or a case.

Trainers of nnU-Net and of other packages get the same checkpoints, signals and seed (`PANCEXT_SEED`) as those
of this package. They write the same folders as with nnUNetv2_train.
"""

import argparse
import multiprocessing
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_pancext.campaign.workers.child_watch import ended_with_children
from nnunet_pancext.campaign.workers.exit_code import with_exit_code
from nnunet_pancext.campaign.workers.waiting_lock import lease_of_cases, waiting_lock
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import scratch_path
from nnunet_pancext.nnunet_files.model_folder import ALL
from nnunet_pancext.nnunet_files.trained_fold import TrainedFold

if TYPE_CHECKING:
    import torch

    from nnunet_pancext.trainers.machinery.nnunet import nnUNetTrainer

DEVICES = ("cuda", "cpu", "mps")


def train(fold: TrainedFold, *, device: str, proceed: str = "", probabilities: bool = False) -> None:
    """Train and validate; `proceed` is "c" to continue a training, "val" to validate only, or empty.

    Raises:
        PancextError: there is no such trainer, fold or device, or the fold's folder cannot be written.
    """
    fold.validation_cases()
    require_writable(fold.folder)
    chosen = choose_device(device)
    from nnunetv2.run.run_training import maybe_load_checkpoint

    trainer = make_trainer(fold, device=chosen, is_continued=proceed == "c")
    maybe_load_checkpoint(trainer, proceed == "c", proceed == "val")
    if chosen.type == "cuda":
        import torch

        torch.backends.cudnn.benchmark = trainer.seed is None  # as nnUNetv2_train, unless numbers must repeat
        torch.backends.cudnn.deterministic = trainer.seed is not None
    if proceed != "val":
        _unpack(trainer)
        trainer.run_training()
    _skip_whole_cases(trainer, fold, probabilities=probabilities)
    with ended_with_children():
        trainer.perform_actual_validation(probabilities)


def require_writable(folder: Path) -> None:
    """Create the folder, and raise PancextError if nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with scratch_path(folder / "test") as test:
            test.write_bytes(b"test")
    except OSError as error:
        raise PancextError(
            f"Cannot write to {folder}: {error.strerror}. Correct its permissions, free some space, or set "
            "nnUNet_results to another folder."
        ) from error


def choose_device(name: str) -> "torch.device":
    """Return the device, after setting the number of threads as nnUNetv2_train does."""
    import torch

    if name == "cpu":
        torch.set_num_threads(multiprocessing.cpu_count())
    elif name == "cuda":
        if not torch.cuda.is_available():
            raise PancextError(
                "PyTorch finds no GPU. Run `pancext doctor` for details, or set the device to cpu or mps."
            )
        torch.set_num_threads(1)
        torch.set_num_interop_threads(1)
    return torch.device(name)


def make_trainer(fold: TrainedFold, *, device: "torch.device", is_continued: bool) -> "nnUNetTrainer":
    """Return the fold's trainer, which can be continued after each epoch."""
    from nnunetv2.run.run_training import get_trainer_from_args
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

    from nnunet_pancext.trainers.machinery.continuable import ContinuableTrainer, make_continuable

    try:
        recursive_find_trainer_class_by_name(fold.trainer)
    except RuntimeError as error:
        raise PancextError(
            f"nnU-Net finds no trainer {fold.trainer}. `pancext trainers --all` lists those of this package; "
            "for others, put their folder into nnUNet_extTrainer."
        ) from error
    number = fold.fold if fold.fold == ALL else int(fold.fold)
    trainer = get_trainer_from_args(
        fold.dataset, fold.configuration, number, fold.trainer, fold.plans, is_continued, device=device
    )
    if not isinstance(trainer, ContinuableTrainer):
        make_continuable(trainer)
    return trainer


def _unpack(trainer: "nnUNetTrainer") -> None:
    """Let one fold at a time unpack the cases, where they are in nnU-Net's older format."""
    from nnunetv2.training.dataloading.nnunet_dataset import infer_dataset_class, nnUNetDatasetNumpy

    folder = trainer.preprocessed_dataset_folder
    if infer_dataset_class(folder) is nnUNetDatasetNumpy:
        with waiting_lock(lease_of_cases(Path(folder))):
            nnUNetDatasetNumpy.unpack_dataset(folder, num_processes=2)


def _skip_whole_cases(trainer: "nnUNetTrainer", fold: TrainedFold, *, probabilities: bool) -> None:
    """Let nnU-Net's validation leave out the cases that an earlier one has predicted."""
    if trainer.configuration_manager.next_stage_names:
        return  # the files of the next stage would have to be whole too
    training, validation = trainer.do_split()
    whole = fold.whole_predictions(validation, probabilities=probabilities)
    left = [case for case in validation if case not in whole]
    if whole:
        trainer.print_to_log_file(
            f"{len(whole)} of {len(validation)} validation cases are predicted already."
        )
        trainer.do_split = lambda: (training, left)


@with_exit_code
def main(arguments: Sequence[str] | None = None) -> None:
    """Run as a step's command does."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("dataset", "configuration", "fold"):
        parser.add_argument(name)
    parser.add_argument("-tr", default="nnUNetTrainer")
    parser.add_argument("-p", default="nnUNetPlans")
    parser.add_argument("-device", choices=DEVICES, default="cuda")
    parser.add_argument("--npz", action="store_true")
    ways = parser.add_mutually_exclusive_group()
    for way in ("c", "val"):
        ways.add_argument(f"--{way}", dest="proceed", action="store_const", const=way, default="")
    parsed = parser.parse_args(arguments)
    fold = TrainedFold(
        dataset=parsed.dataset,
        trainer=parsed.tr,
        plans=parsed.p,
        configuration=parsed.configuration,
        fold=parsed.fold,
    )
    train(fold, device=parsed.device, proceed=parsed.proceed, probabilities=parsed.npz)


if __name__ == "__main__":
    sys.exit(main())
