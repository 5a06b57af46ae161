"""Two ranks as nnU-Net starts them for several GPUs, on the CPU: lookup, network in DDP, two steps.

Command line: a trainer name and an empty folder. Prints, per rank and with deep supervision off and on,
whether the gradients are there and equal on both ranks.
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch import multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

RANKS = 2
PLAN = SimpleNamespace(patch_size=[32, 32], pool_op_kernel_sizes=[[1, 1], [2, 2], [2, 2], [2, 2]])


def train_two_steps(network: nn.Module, *, deep_supervision: bool) -> dict[str, bool | int]:
    distributed = DistributedDataParallel(network)
    for _ in range(2):  # DDP reports a parameter without gradient at the step after
        network.zero_grad()
        outputs = distributed(torch.randn(2, 1, *PLAN.patch_size))
        outputs = outputs if deep_supervision else [outputs]
        sum(output.square().mean() for output in outputs).backward()
    trained = [parameter.grad for parameter in network.parameters() if parameter.requires_grad]
    return {
        "outputs": len(outputs),
        "every parameter has a gradient": all(gradient is not None for gradient in trained),
        "gradients agree": gradients_agree(torch.cat([gradient.flatten() for gradient in trained])),
    }


def gradients_agree(gradient: Tensor) -> bool:
    mean = gradient.clone()
    dist.all_reduce(mean)
    mean /= RANKS
    return bool(gradient.any()) and torch.allclose(gradient, mean)


def run_rank(rank: int, name: str, folder: Path) -> None:
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=RANKS)
    torch.manual_seed(rank)
    trainer = recursive_find_trainer_class_by_name(name)
    small = type(
        "SmallTrainer", (trainer,), {"network_options": {**trainer.network_options, "init_filters": 8}}
    )
    answer = {}
    for deep_supervision in (False, True):
        network = small.build_network_architecture(None, PLAN, 1, 3, enable_deep_supervision=deep_supervision)
        key = "deep supervision" if deep_supervision else "one output"
        answer[key] = train_two_steps(network, deep_supervision=deep_supervision)
    (folder / f"rank_{rank}.json").write_text(json.dumps(answer), encoding="utf-8")
    dist.destroy_process_group()


if __name__ == "__main__":
    trainer_name, meeting_folder = sys.argv[1], Path(sys.argv[2])
    mp.spawn(run_rank, args=(trainer_name, meeting_folder), nprocs=RANKS)
    print(
        json.dumps(
            [
                json.loads((meeting_folder / f"rank_{rank}.json").read_text(encoding="utf-8"))
                for rank in range(RANKS)
            ]
        )
    )
