"""Prints the cost of a training step of every trainer and of stock nnU-Net for the same plan and patch.

python benchmarks/trainer_steps.py                       on this CPU, with small patches
python benchmarks/trainer_steps.py --device cuda --precision bf16 --compile

Each trainer has its own loss; stock nnU-Net's is Dice + CE. The organ fills half of each axis: the second
stage of the two-stage network sees that and a margin. On a GPU patch and batch are those of nnU-Net's plan
for MSD pancreas.
"""

import argparse
import json
import sys
from copy import deepcopy
from statistics import median
from typing import Any

from report import command_line, machine, measure_alone, print_table

ROUNDS = 2
PLAIN, RESIDUAL = "PlainConvUNet", "ResEncUNet-M"
CONFIGURATIONS = {2: "2d", 3: "3d_fullres"}
# A CPU needs seconds for these; every axis is divisible by the plan's strides.
CPU_BATCHES = {2: (1, 256, 256), 3: (1, 16, 96, 96)}
RESIDUAL_BLOCKS = (1, 3, 4, 6, 6, 6, 6, 6)  # of nnU-Net's ResEncM planner
CASCADE = "PancreasTumorCascade"
NUM_CLASSES = 3
REPEATS = 3
SAME_NETWORK = ("Loss", "ISB", "Baseline")  # trainers of stock nnU-Net's


def plans_for(kind: str) -> dict[str, Any]:
    """Return nnU-Net's plan for MSD pancreas, with the network of the kind."""
    from nnunet_pancext.trainers.machinery.default_plan import default_plans

    plans = deepcopy(default_plans())
    if kind == RESIDUAL:
        for name in CONFIGURATIONS.values():
            architecture = plans["configurations"][name]["architecture"]
            architecture["network_class_name"] = (
                "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet"
            )
            arguments = architecture["arch_kwargs"]
            stages = len(arguments.pop("n_conv_per_stage"))
            arguments["n_blocks_per_stage"] = list(RESIDUAL_BLOCKS[:stages])
            arguments["n_conv_per_stage_decoder"] = [1] * (stages - 1)
    return plans


def build(kind: str, dims: int, *, cpu: bool) -> tuple[Any, tuple[int, ...]]:
    """Return the kind's network, with any deep supervision, and (batch, *patch), small for a CPU."""
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    from nnunet_pancext.trainers import find_trainer

    content = plans_for(kind)
    if cpu:
        batch_size, *patch_size = CPU_BATCHES[dims]
        small = {"batch_size": batch_size, "patch_size": patch_size}
        content["configurations"][CONFIGURATIONS[dims]].update(small)
    plans = PlansManager(content)
    configuration = plans.get_configuration(CONFIGURATIONS[dims])
    trainer = find_trainer(kind) or nnUNetTrainer
    deep_supervision = getattr(trainer, "enable_deep_supervision", True)
    network = trainer.build_network_architecture(plans, configuration, 1, NUM_CLASSES, deep_supervision)
    return network, (configuration.batch_size, *configuration.patch_size)


def case_of(kind: str, shape: tuple[int, ...], device: str) -> tuple[Any, Any]:
    """Return an image of noise and its labels: an organ that fills half of each axis, and a lesion in it."""
    import torch

    batch, *patch = shape
    image = torch.randn(batch, 1, *patch)
    labels = torch.zeros(batch, 1, *patch)
    for label, share in ((1, 4), (2, 8)):
        middle = [slice(length // 2 - length // share, length // 2 + length // share) for length in patch]
        labels[(slice(None), slice(None), *middle)] = label
    if kind.startswith(CASCADE):
        image = torch.cat([image, (labels > 0).float()], dim=1)
    return image.to(device), labels.to(device)


def loss_of(kind: str, outputs: Any, labels: Any) -> tuple[Any, Any]:
    """Return the trainer's loss and its target."""
    import torch
    from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
    from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
    from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss

    from nnunet_pancext.losses import CascadeLoss, ISBLoss, MapsLoss
    from nnunet_pancext.trainers.cdi_nstseg import MAP_WEIGHTS

    if kind.startswith(CASCADE):
        return CascadeLoss(organ=1, lesion=2, isb=ISBLoss()), labels
    dice = {"batch_dice": False, "smooth": 1e-5, "do_bg": False, "ddp": False}
    loss = DC_and_CE_loss(dice, {}, dice_class=MemoryEfficientSoftDiceLoss)
    if isinstance(outputs, torch.Tensor):
        return loss, labels
    targets = [torch.nn.functional.interpolate(labels, size=output.shape[2:]) for output in outputs]
    if kind.startswith("CDINSTSeg"):
        return MapsLoss([weight / sum(MAP_WEIGHTS) for weight in MAP_WEIGHTS]), targets
    weights = [1 / 2**level for level in range(len(outputs))]
    weights[-1] = 0.0
    return DeepSupervisionWrapper(loss, [weight / sum(weights) for weight in weights]), targets


def measure(kind: str, dims: int, device: str, precision: str, compiled: bool) -> dict[str, float]:
    """Return seconds and peak MB of a step, the parameters, and the multiply-adds of a forward pass."""
    import resource
    import time

    import torch
    from torch.utils.flop_counter import FlopCounterMode

    torch.manual_seed(0)
    cpu = device == "cpu"
    network, planned = build(kind, dims, cpu=cpu)
    network.to(device)
    if kind.startswith(CASCADE):
        network.phase = "I"  # ground-truth windows: an untrained first stage would choose the whole patch
    image, labels = case_of(kind, planned, device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        outputs = network(image)
    loss, targets = loss_of(kind, outputs, labels)
    del outputs
    forward = torch.compile(network) if compiled else network
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.99, nesterov=True)
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    scaler = torch.amp.GradScaler(device, enabled=precision == "fp16")

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(device, dtype=dtype, enabled=dtype is not None):
            value = loss(forward(image), targets)
        scaler.scale(value).backward()
        scaler.step(optimiser)
        scaler.update()
        if not cpu:
            torch.cuda.synchronize()

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for _ in range(1 if cpu else 3):
        step()  # libraries and compilers choose their kernels
    if not cpu:
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    if cpu:
        megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    else:
        megabytes = torch.cuda.max_memory_allocated() / 2**20
    return {
        "seconds": median(seconds),
        "megabytes": megabytes,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "macs": counter.get_total_flops() / 2 / len(image),
    }


def child(kind: str, dims: int, options: argparse.Namespace) -> dict[str, float]:
    """Measure in a process of its own."""
    words = ["--device", options.device, "--precision", options.precision]
    words += ["--compile"] * options.compile + ["--child", kind, str(dims)]
    # Freed memory is returned at once, so that the peak is the memory in use.
    environment = {"MALLOC_MMAP_THRESHOLD_": "65536"}
    print(f"{kind} in {dims}D ...", file=sys.stderr, flush=True)
    return measure_alone("trainer_steps.py", *words, environment=environment)


def rows_of(kinds: list[str], dims: int, options: argparse.Namespace) -> list[list[str]]:
    """Measure all kinds in turn, several rounds; ratios are to the first, within a round."""
    rounds = [{kind: child(kind, dims, options) for kind in kinds} for _ in range(options.rounds)]
    rows = []
    for kind in kinds:
        costs = rounds[0][kind]
        ratios = [
            median(turn[kind][key] / turn[kinds[0]][key] for turn in rounds)
            for key in ("seconds", "megabytes")
        ]
        rows.append(
            [
                kind,
                f"{costs['parameters'] / 1e6:.2f}",
                f"{costs['macs'] / 1e9:.1f}",
                f"{median(turn[kind]['seconds'] for turn in rounds):.3f}",
                f"{median(turn[kind]['megabytes'] for turn in rounds):.0f}",
                *(f"{ratio:.2f}" for ratio in ratios),
            ]
        )
    return rows


def main() -> None:
    """Print a table for 2D and one for 3D."""
    parser = command_line(__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"), default="fp32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--trainers", nargs="+", metavar="NAME", help="default: all that differ in network")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        kind, dims = options.child
        print(json.dumps(measure(kind, int(dims), options.device, options.precision, options.compile)))
        return
    from nnunet_pancext.trainers import list_trainers

    trainers = options.trainers or [
        name for name in list_trainers() if not any(word in name for word in SAME_NETWORK)
    ]
    compiled = "compiled" if options.compile else "not compiled"
    print(machine("torch", "nnunetv2", notes=(options.device, options.precision, compiled)))
    heading = ["", "parameters (M)", "GMAC", "seconds", "MB", "time ratio", "memory ratio"]
    for dims in CONFIGURATIONS:
        rows = rows_of([PLAIN, RESIDUAL, *trainers], dims, options)
        size = " x ".join(map(str, CPU_BATCHES[dims])) if options.device == "cpu" else "the plan's"
        print_table(f"Training step in {dims}D, batch x patch {size}", rows, heading)


if __name__ == "__main__":
    main()
