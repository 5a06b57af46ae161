"""Trainings that draw the same random numbers each time."""

import os
from typing import Any

import torch

from nnunet_pancext.trainers.machinery.nnunet import nnUNetTrainer
from nnunet_pancext.trainers.machinery.seeding import INITIALISATION, seed_generators

WORKERS = "nnUNet_n_proc_DA"  # nnU-Net's variable: number of processes that prepare batches


class SeededTrainer(nnUNetTrainer):
    """Seeds the weights and each epoch where `seed` is set, and prepares data in the training's process.

    It precedes another trainer among the bases of a class.
    """

    seed: int | None = None

    def initialize(self) -> None:
        if self.seed is not None:
            seed_generators(self.seed, self.fold, INITIALISATION, self.local_rank)
            self.print_to_log_file(f"Reproducible mode, seed {self.seed}: data are prepared in this process.")
        super().initialize()

    def on_train_start(self) -> None:
        if self.seed is not None:  # here, because nnU-Net sets both before each training
            torch.backends.cudnn.deterministic = True
            torch.backends.cudnn.benchmark = False
        super().on_train_start()

    def get_dataloaders(self) -> Any:
        if self.seed is None:
            return super().get_dataloaders()
        # Worker processes would return batches in random order.
        before = os.environ.get(WORKERS)
        os.environ[WORKERS] = "0"
        try:
            return super().get_dataloaders()
        finally:
            del os.environ[WORKERS]
            if before is not None:
                os.environ[WORKERS] = before

    def on_epoch_start(self) -> None:
        super().on_epoch_start()
        if self.seed is not None:
            seed_generators(self.seed, self.fold, self.current_epoch, self.local_rank)
