"""The workloads of `run.py`.

`python benchmarks/workloads.py WORKLOAD KIND SIZE` prints seconds and peak memory in MB.

Each runs in a process of its own, because a process keeps its peak memory.
"""

import json
import resource
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

REPEATS = 3
CHANNELS = 256
POSITIONS = {3920: (5, 28, 28), 7840: (10, 28, 28), 15680: (20, 28, 28)}
IMAGES = {2: (4, 1, 128, 128), 3: (1, 1, 32, 96, 96)}
INIT_FILTERS = {2: 32, 3: 16}

Step = Callable[[Tensor], None]


def non_local(kind: str, positions: int) -> tuple[Step, Tensor, Tensor]:
    """Forward and backward of one non-local block on N positions of 256 channels."""
    from nnunet_pancext.architectures.blocks.non_local import NonLocalBlock

    block = NonLocalBlock(spatial_dims=3, channels=CHANNELS)

    def naive(features: Tensor) -> Tensor:
        tokens = features.flatten(2).transpose(1, 2)
        affinity = torch.softmax(block.theta(tokens) @ block.phi(tokens).transpose(1, 2), dim=-1)
        update = block.w_z(affinity @ block.g(tokens)).transpose(1, 2)
        return features + update.unflatten(2, features.shape[2:])

    forward = {"sdpa": block, "naive": naive}[kind]

    def step(features: Tensor) -> None:
        forward(features).sum().backward()

    def image(size: tuple[int, ...]) -> Tensor:
        return torch.randn(1, CHANNELS, *size, requires_grad=True)

    return step, image((1, 4, 4)), image(POSITIONS[positions])


def training_step(kind: str, spatial_dims: int) -> tuple[Step, Tensor, Tensor]:
    """One training step with SGD on a full-size output: MONAI's SegResNet, or ours with 0 or 2 blocks."""
    network = _network(kind, spatial_dims)
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.99, nesterov=True)

    def step(image: Tensor) -> None:
        optimiser.zero_grad()
        network(image).square().mean().backward()
        optimiser.step()

    return step, torch.randn(1, 1, *[16] * spatial_dims), torch.randn(*IMAGES[spatial_dims])


def _network(kind: str, spatial_dims: int) -> nn.Module:
    filters = INIT_FILTERS[spatial_dims]
    if kind == "monai":
        from monai.networks.nets import SegResNet

        return SegResNet(spatial_dims=spatial_dims, init_filters=filters, in_channels=1, out_channels=2)
    from nnunet_pancext.architectures import SegResNetNL

    network = SegResNetNL(
        spatial_dims=spatial_dims,
        in_channels=1,
        num_classes=2,
        init_filters=filters,
        num_non_local_blocks=int(kind),
    )
    network.auxiliary_heads.requires_grad_(False)  # as a trainer does without deep supervision
    return network


def measure(step: Step, warm_up: Tensor, data: Tensor) -> dict[str, float]:
    """Return the median seconds of a step and the peak memory that it added, in MB."""
    step(warm_up)  # libraries initialise on first use
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        step(data)
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": sorted(seconds)[REPEATS // 2], "megabytes": (peak - before) / 1024}


def main(workload: str, kind: str, size: str) -> None:
    """Run the workload named on the command line."""
    torch.manual_seed(0)
    build = {"non_local": non_local, "training_step": training_step}[workload]
    print(json.dumps(measure(*build(kind, int(size)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
