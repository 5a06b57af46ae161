"""The cascade's trainer on two processes (gloo), set up by nnU-Net as on two GPUs."""

import os
from datetime import timedelta
from multiprocessing import context
from typing import Any
from unittest import mock

import pytest
import torch
import torch.distributed
import torch.multiprocessing
from contracts.host_commands import forking_context
from contracts.made_preprocessed import made_dataset_json, made_plans, make_preprocessed
from torch import nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from nnunet_pancext import trainers
from nnunet_pancext.architectures.pancreas_tumor_cascade import PHASES

PROCESSES = 2
WITHOUT_WINDOW = ("PancreasTumorCascadeMTrainer", "2d")
VARIANTS = (
    ("PancreasTumorCascadeTrainer", "2d"),
    ("PancreasTumorCascadeTrainer", "3d_fullres"),
    WITHOUT_WINDOW,
    ("PancreasTumorCascadeMPTrainer", "2d"),
    ("PancreasTumorCascadeMPTTrainer", "2d"),
    ("PancreasTumorCascadeMPTLTrainer", "2d"),
    ("PancreasTumorCascadeFalsePositiveTrainer", "2d"),
    ("PancreasTumorCascadeFalseNegativeTrainer", "2d"),
)
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


def train_all(rank: int, folder: str) -> None:
    """Train each of `VARIANTS` as one of two processes, and keep what they are then."""
    torch.set_num_threads(1)
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        os.environ[name] = os.path.join(folder, name)
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=PROCESSES,
        timeout=timedelta(minutes=10),
    )
    with (
        mock.patch.object(nn.SyncBatchNorm, "forward", synchronised),
        mock.patch.object(DistributedDataParallel, "_passing_sync_batchnorm_handle"),  # wants GPUs
        mock.patch(f"{HOST}.DDP", lambda network, device_ids: DistributedDataParallel(network)),
    ):
        kept = {variant: train_a_little(*variant, rank) for variant in VARIANTS}
    torch.save(kept, os.path.join(folder, f"kept_{rank}.pt"))
    torch.distributed.destroy_process_group()


def train_a_little(name: str, configuration: str, rank: int) -> dict[str, Any]:
    """Take two steps in each phase; the second process never has an organ in its patches."""
    torch.manual_seed(0)
    kind = getattr(trainers, name)
    narrow = {**kind.network_options, "base_channels": 8}
    with mock.patch.object(kind, "network_options", narrow):
        plans = {**made_plans(), "continue_training": False}
        trainer = kind(plans, configuration, 0, made_dataset_json(), torch.device("cpu"))
        trainer.device = torch.device("cpu")  # nnU-Net takes a GPU for each process
        trainer.grad_scaler = None
        trainer.initialize()
    network = trainer.network.module
    with torch.no_grad():  # stage 1 finds nothing, as at the start of a training
        network.stage_1.head.seg_layers.weight.zero_()
        network.stage_1.head.seg_layers.bias.fill_(-1)
    patch = trainer.configuration_manager.patch_size
    labels = torch.zeros(2, 1, *patch)
    if rank == 0:
        labels[(..., *(slice(length // 4, length // 2) for length in patch))] = 1
        labels[(..., *(slice(length // 3, length // 3 + 2) for length in patch))] = 2
    image = torch.randn(2, 1, *patch, generator=torch.Generator().manual_seed(rank))
    trainer.network.train()
    looked = []
    for network.phase in PHASES:
        for _ in range(2):
            trainer.train_step({"data": image, "target": [labels], "keys": ["one", "other"]})
            looked.append(trainer.loss.windows is not None)
    return {
        "looked": looked,
        "weights": torch.cat([parameter.detach().flatten() for parameter in network.parameters()]),
        "stage 1": {type(module) for module in network.stage_1.modules()},
        "stage 2": {type(module) for module in network.stage_2.modules()},
    }


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """Return what each process kept of each variant."""
    folder = tmp_path_factory.mktemp("processes")
    make_preprocessed(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(context._concrete_contexts, "spawn", forking_context())
        torch.multiprocessing.spawn(train_all, args=(str(folder),), nprocs=PROCESSES)
    return [torch.load(folder / f"kept_{rank}.pt", weights_only=False) for rank in range(PROCESSES)]


@pytest.mark.parametrize("variant", VARIANTS, ids=" ".join)
def test_a_process_without_organ_takes_the_same_steps(kept, variant):
    """Else a parameter without a gradient would stop it, or a norm that waits for the other process."""
    one, other = (process[variant] for process in kept)
    assert one["looked"] == [True] * 6
    assert other["looked"] == [variant == WITHOUT_WINDOW] * 6
    assert torch.isfinite(one["weights"]).all()
    assert torch.equal(one["weights"], other["weights"])


def test_the_norms_of_stage_1_alone_are_synchronised(kept):
    one = kept[0][VARIANTS[0]]
    assert nn.SyncBatchNorm in one["stage 1"]
    assert nn.SyncBatchNorm not in one["stage 2"]
    assert nn.BatchNorm2d in one["stage 2"]
