"""Prints the effect of keeping freed memory (`trainers/machinery/allocator.py`) on a CPU with glibc.

python benchmarks/allocator.py             training steps and predictions in 2D and 3D
python benchmarks/allocator.py --rounds 5

Each workload runs in processes of its own, with and without in turn. On a shared machine only processor
seconds are reliable.
"""

import argparse
import json
import platform
import resource
import sys
import time
from statistics import median

from report import command_line, machine, measure_alone, print_table
from trainer_steps import CONFIGURATIONS, CPU_BATCHES, plans_for

TRAINERS = ("nnUNetTrainerBaseline", "SegResNetNLTrainer")
WAYS = ("default", "kept")
WARM_UP, REPEATS = 2, 5


def measure(trainer: str, dims: int, work: str, way: str) -> dict[str, float]:
    """Return wall and processor seconds of a step and the process's peak memory in MB."""
    import torch
    from torch.nn.functional import cross_entropy

    from nnunet_pancext.trainers import find_trainer
    from nnunet_pancext.trainers.machinery.allocator import keep_freed_memory
    from nnunet_pancext.trainers.machinery.base import PancextTrainer

    PancextTrainer.prepare_prediction = staticmethod(lambda: None)  # it would keep memory in both cases
    if way == "kept" and not keep_freed_memory():
        sys.exit("No glibc, or the environment configures its allocator: nothing to measure.")
    torch.manual_seed(0)
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    plans = PlansManager(plans_for("PlainConvUNet"))
    network = find_trainer(trainer).build_network_architecture(
        plans, plans.get_configuration(CONFIGURATIONS[dims]), 1, 2, False
    )
    batch, *patch = CPU_BATCHES[dims]
    image = torch.randn(batch, 1, *patch)
    labels = torch.zeros(batch, *patch, dtype=torch.long)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.99, nesterov=True)

    def train() -> None:
        optimizer.zero_grad(set_to_none=True)
        cross_entropy(network(image), labels).backward()
        optimizer.step()

    def predict() -> None:
        with torch.inference_mode():
            network.eval()(image)

    step = {"train": train, "predict": predict}[work]
    for _ in range(WARM_UP):
        step()
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(REPEATS):
        step()
    return {
        "seconds": (time.perf_counter() - wall) / REPEATS,
        "processor": (time.process_time() - processor) / REPEATS,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Print the table."""
    parser = command_line(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        trainer, dims, work, way = options.child
        print(json.dumps(measure(trainer, int(dims), work, way)))
        return
    print(machine("torch", "nnunetv2", notes=(" ".join(platform.libc_ver()),)))
    rows = []
    for dims, shape in CPU_BATCHES.items():
        for trainer in TRAINERS:
            for work in ("train", "predict"):
                turns = [
                    {way: measure_alone("allocator.py", "--child", trainer, dims, work, way) for way in WAYS}
                    for _ in range(options.rounds)
                ]
                ratios = [
                    median(turn["kept"][key] / turn["default"][key] for turn in turns)
                    for key in ("seconds", "processor", "megabytes")
                ]
                name = f"{dims}D, {' x '.join(map(str, shape))}, {trainer}, {work}"
                default = median(turn["default"]["seconds"] for turn in turns)
                rows.append([name, f"{default:.3f}", *(f"{ratio:.2f}" for ratio in ratios)])
                print(*rows[-1], file=sys.stderr, flush=True)
    heading = ["", "seconds, default", "wall time ratio", "processor time ratio", "peak memory ratio"]
    print_table("Keeping freed memory, relative to glibc's default", rows, heading)


if __name__ == "__main__":
    main()
