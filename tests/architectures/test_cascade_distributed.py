"""The cascade under DistributedDataParallel, as nnU-Net builds it: two processes, gloo."""

from __future__ import annotations

import os

import torch
import torch.distributed
import torch.multiprocessing
from torch.nn.parallel import DistributedDataParallel

from nnunet_pancext.architectures import PancreasTumorCascade
from nnunet_pancext.architectures.pancreas_tumor_cascade import PHASES
from nnunet_pancext.losses import CascadeLoss, ISBLoss

PROCESSES = 2


def train_a_little(rank: int, folder: str) -> None:
    """Take two steps in each phase; the second process never has an organ in its patches."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=PROCESSES
    )
    torch.manual_seed(0)
    network = PancreasTumorCascade(
        spatial_dims=2, in_channels=1, num_classes=3, base_channels=8, margin=2, deep_supervision=True
    )
    with torch.no_grad():  # stage 1 finds nothing, as at the start of a training
        network.stage_1.head.seg_layers.weight.zero_()
        network.stage_1.head.seg_layers.bias.fill_(-1)
    parallel = DistributedDataParallel(network)
    loss = CascadeLoss(organ=1, lesion=2, isb=ISBLoss())
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-3)
    labels = torch.zeros(2, 1, 32, 32)
    if rank == 0:
        labels[..., 8:20, 8:20] = 1
        labels[..., 12:15, 12:15] = 2
    image = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(rank))
    for network.phase in PHASES:
        for _ in range(2):
            optimiser.zero_grad(set_to_none=True)
            loss(parallel(torch.cat([image, (labels > 0).float()], dim=1)), labels).backward()
            optimiser.step()
    weights = torch.cat([parameter.detach().flatten() for parameter in network.parameters()])
    torch.save(weights, os.path.join(folder, f"weights_{rank}.pt"))
    torch.distributed.destroy_process_group()


def test_no_phase_leaves_a_parameter_without_a_gradient(tmp_path):
    torch.multiprocessing.spawn(train_a_little, args=(str(tmp_path),), nprocs=PROCESSES)
    one, other = (torch.load(tmp_path / f"weights_{rank}.pt") for rank in range(PROCESSES))
    assert torch.isfinite(one).all()
    assert torch.equal(one, other)
