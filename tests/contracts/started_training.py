"""Trainings of seconds in processes of their own, which end at a chosen moment."""

import multiprocessing
import os
import pkgutil
import signal
import sys
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import torch
from contracts.fork_pools import fork_pools
from contracts.host_commands import QUIET_THREADS, begin, forked

import nnunet_pancext_discovery
from nnunet_pancext.nnunet_files.trained_fold import TrainedFold

OURS = "nnUNetTrainerNonLocal_3epochs_2iterations"
STOCK = "nnUNetTrainerSmallStock"
# Found through nnUNet_extTrainer, as a user's own trainer: nnU-Net's short ones have 250 iterations.
STOCK_SOURCE = f"""
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class {STOCK}(nnUNetTrainer):
    def __init__(self, plans, configuration, fold, dataset_json, device=torch.device("cuda")):
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs, self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = {{epochs}}, 2, 1
"""
PATIENCE_S = 300
START_METHOD = multiprocessing.get_all_start_methods()[0]  # the default of this system


@dataclass(frozen=True, kw_only=True)
class Training:
    """Fold 0 of a trainer with the dataset under `root`, in a folder of results of its own.

    `die_at` is the name of a function and the number of the call at which the process kills itself.
    """

    root: Path
    results: str
    trainer: str
    epochs: int = 3  # of the stock trainer
    seed: str = "3"
    workers: int = 0
    is_validated: bool = False
    die_at: tuple[str, int] = ("", 0)
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **QUIET_THREADS,
            "nnUNet_raw": str(self.root / "nnUNet_raw"),
            "nnUNet_preprocessed": str(self.root / "nnUNet_preprocessed"),
            "nnUNet_results": str(self.root / self.results),
            "nnUNet_extTrainer": str(self.root / f"trainers_{self.epochs}"),
            "nnUNet_n_proc_DA": str(self.workers),
            "nnUNet_def_n_proc": "1",
            "PANCEXT_SEED": self.seed,
            **self.settings,
        }

    @property
    def log(self) -> Path:
        return self.root / f"{self.results}.txt"

    @property
    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def fold_folder(self) -> Path:
        (folder,) = (self.root / self.results).glob(f"*/{self.trainer}__*/fold_0")
        return folder

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        file = self.fold_folder / "checkpoint_final.pth"
        return torch.load(file, weights_only=False)["network_weights"]

    def start(self, *options: str) -> ForkServerProcess:
        source = self.root / f"trainers_{self.epochs}" / "small_stock.py"
        source.parent.mkdir(exist_ok=True)
        source.write_text(STOCK_SOURCE.format(epochs=self.epochs), encoding="utf-8")
        return forked(_train, self, options)

    def run(self, *options: str) -> int:
        """Train and return the exit code."""
        process = self.start(*options)
        process.join(PATIENCE_S)
        if process.is_alive():
            process.kill()
        process.join()
        assert process.exitcode is not None
        return process.exitcode


def _train(training: Training, options: tuple[str, ...]) -> None:
    begin(training.environment, training.log)
    if training.is_validated:
        fork_pools()
    nnunet_pancext_discovery.register()  # as at the start of every Python
    multiprocessing.set_start_method(START_METHOD, force=True)  # and not as this process was started
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    from nnunet_pancext.campaign.workers import train

    if not training.is_validated:
        nnUNetTrainer.perform_actual_validation = lambda self, save_probabilities: None
    if training.die_at[0]:
        _die_at(*training.die_at)
    arguments = ("Dataset007_Pancreas", "2d", "0", "-tr", training.trainer, "-device", "cpu")
    sys.exit(train.main([*arguments, *options]))


def _die_at(name: str, call: int) -> None:
    """Replace a function, as package.module:Class.method, by one that kills the process at a call of it."""
    owner_name, _, attribute = name.rpartition("." if "." in name.partition(":")[2] else ":")
    owner: Any = pkgutil.resolve_name(owner_name)
    original, calls = getattr(owner, attribute), 0

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)

    setattr(owner, attribute, counted)


def fold_of(training: Training) -> TrainedFold:
    """Return the files of a training; its folders must be set in the environment."""
    return TrainedFold(
        dataset="Dataset007_Pancreas",
        trainer=training.trainer,
        plans="nnUNetPlans",
        configuration="2d",
        fold="0",
    )
