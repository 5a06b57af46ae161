"""The cascade's trainer on two processes (gloo), set up by nnU-Net as on two GPUs."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from unittest import mock

import torch
import torch.distributed
import torch.multiprocessing
from contracts.made_preprocessed import made_dataset_json, made_plans, make_preprocessed
from torch import nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from nnunet_pancext.architectures.pancreas_tumor_cascade import PHASES
from nnunet_pancext.trainers import PancreasTumorCascadeTrainer

PROCESSES = 2
HOST = "nnunetv2.training.nnUNetTrainer.nnUNetTrainer"


def synchronised(self, features):
    """What SyncBatchNorm does on GPUs: it meets the other processes once in each step of training."""
    if self.training:
        number = torch.tensor([self.num_features])
        torch.distributed.all_reduce(number)
        assert number == PROCESSES * self.num_features, "another layer's numbers"
    return functional.batch_norm(
        features, self.running_mean, self.running_var, self.weight, self.bias, self.training
    )


def train_a_little(rank: int, folder: str) -> None:
    """Take two steps in each phase; the second process never has an organ in its patches."""
    torch.set_num_threads(1)
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        os.environ[name] = os.path.join(folder, name)
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=PROCESSES,
        timeout=timedelta(seconds=60),
    )
    torch.manual_seed(0)
    with (
        mock.patch.object(nn.SyncBatchNorm, "forward", synchronised),
        mock.patch.object(DistributedDataParallel, "_passing_sync_batchnorm_handle"),  # wants GPUs
        mock.patch(f"{HOST}.DDP", lambda network, device_ids: DistributedDataParallel(network)),
        mock.patch.object(PancreasTumorCascadeTrainer, "network_options", {"base_channels": 8}),
    ):
        plans = {**made_plans(), "continue_training": False}
        trainer = PancreasTumorCascadeTrainer(plans, "2d", 0, made_dataset_json(), torch.device("cpu"))
        trainer.device = torch.device("cpu")  # nnU-Net takes a GPU for each process
        trainer.grad_scaler = None
        trainer.initialize()
        network = trainer.network.module
        with torch.no_grad():  # stage 1 finds nothing, as at the start of a training
            network.stage_1.head.seg_layers.weight.zero_()
            network.stage_1.head.seg_layers.bias.fill_(-1)
        labels = torch.zeros(2, 1, 32, 32)
        if rank == 0:
            labels[..., 8:20, 8:20] = 1
            labels[..., 12:15, 12:15] = 2
        image = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(rank))
        trainer.network.train()
        looked = []
        for network.phase in PHASES:
            for _ in range(2):
                trainer.train_step({"data": image, "target": [labels], "keys": ["one", "other"]})
                looked.append(trainer.loss.cascade.windows is not None)
    assert looked == [rank == 0] * 6
    kept = {
        "weights": torch.cat([parameter.detach().flatten() for parameter in network.parameters()]),
        "stage 1": {type(module) for module in network.stage_1.modules()},
        "stage 2": {type(module) for module in network.stage_2.modules()},
    }
    torch.save(kept, os.path.join(folder, f"kept_{rank}.pt"))
    torch.distributed.destroy_process_group()


def test_a_process_without_organ_takes_the_same_steps(tmp_path: Path):
    """Else a parameter without a gradient would stop it, or a norm that waits for the other process."""
    make_preprocessed(tmp_path)
    torch.multiprocessing.spawn(train_a_little, args=(str(tmp_path),), nprocs=PROCESSES)
    one, other = (torch.load(tmp_path / f"kept_{rank}.pt", weights_only=False) for rank in range(PROCESSES))
    assert torch.isfinite(one["weights"]).all()
    assert torch.equal(one["weights"], other["weights"])
    assert nn.SyncBatchNorm in one["stage 1"]
    assert nn.SyncBatchNorm not in one["stage 2"]
    assert nn.BatchNorm2d in one["stage 2"]
