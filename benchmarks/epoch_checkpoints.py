"""Prints what a checkpoint at the end of each epoch costs, in bytes and seconds.

python benchmarks/epoch_checkpoints.py [--work FOLDER] [--rounds 7] [--only NETWORK]

For networks of nnU-Net's plan for MSD pancreas, 3d_fullres: how long the training waits, and how long the
background thread takes, against writing in the foreground as nnU-Net does. Files are written under FOLDER
(default: a temporary one). Seconds are the processor time of the training's thread, which does not depend on
what else runs, and in brackets those on the clock.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from statistics import median
from typing import Any

from report import command_line, machine, measure_alone, print_table

PLAIN, LARGE = "PlainConvUNet", "ResEnc-L"
NETWORKS = (PLAIN, LARGE, "SegResNetNLTrainer", "PancreasTumorCascadeTrainer")
EPOCH_S = (32, 126)  # of nnU-Net's plans on an A100: 9 and 35 hours for 1000 epochs
NUM_CLASSES = 3
# Of nnU-Net's ResEncL planner for MSD pancreas.
LARGE_STRIDES = [[1, 1, 1], [1, 2, 2], [2, 2, 2], [2, 2, 2], [2, 2, 2], [1, 2, 2], [1, 2, 2]]
LARGE_NETWORK = {
    "n_stages": 7,
    "features_per_stage": [32, 64, 128, 256, 320, 320, 320],
    "strides": LARGE_STRIDES,
    "kernel_sizes": [[1, 3, 3], *[[3, 3, 3]] * 6],
    "n_blocks_per_stage": [1, 3, 4, 6, 6, 6, 6],
    "n_conv_per_stage_decoder": [1] * 6,
}


def build_network(name: str) -> Any:
    """Return a network, with deep supervision where its trainer has it."""
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    from nnunet_pancext.trainers import find_trainer
    from nnunet_pancext.trainers.machinery.default_plan import default_plans

    content = deepcopy(default_plans())
    if name == LARGE:
        architecture = content["configurations"]["3d_fullres"]["architecture"]
        architecture["network_class_name"] = (
            "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet"
        )
        architecture["arch_kwargs"].pop("n_conv_per_stage")
        architecture["arch_kwargs"].update(LARGE_NETWORK)
    plans = PlansManager(content)
    trainer = find_trainer(name) or nnUNetTrainer
    return trainer.build_network_architecture(
        plans, plans.get_configuration("3d_fullres"), 1, NUM_CLASSES, enable_deep_supervision=True
    )


def trained(network: Any) -> Any:
    """Return a trainer with what its checkpoints hold after 1000 epochs, without a dataset."""
    import torch
    from nnunetv2.training.logging.nnunet_logger import LocalLogger

    from nnunet_pancext.trainers.machinery.continuable import ContinuableTrainer

    trainer = ContinuableTrainer.__new__(ContinuableTrainer)
    trainer.network, trainer.is_ddp, trainer.local_rank, trainer.disable_checkpointing = (
        network,
        False,
        0,
        False,
    )
    trainer.optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.99, nesterov=True)
    for parameter in network.parameters():
        trainer.optimizer.state[parameter]["momentum_buffer"] = torch.randn_like(parameter)
    trainer.logger, trainer.grad_scaler, trainer._best_ema, trainer.current_epoch = (
        LocalLogger(),
        None,
        0.5,
        999,
    )
    for values in trainer.logger.my_fantastic_logging.values():
        values.extend([0.5] * 1000)
    trainer.my_init_kwargs, trainer.inference_allowed_mirroring_axes = {}, (0, 1, 2)
    return trainer


def measure(name: str, folder: Path) -> dict[str, float]:
    """Return megabytes and seconds of one checkpoint."""
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    trainer = trained(build_network(name))
    before, after = folder / "checkpoint_before.pth", folder / "checkpoint_best.pth"
    seconds = {}

    def timed(key: str, function: Callable[[], None]) -> None:
        processor, clock = time.thread_time(), time.perf_counter()
        function()
        seconds[f"{key} clock"] = time.perf_counter() - clock
        seconds[key] = time.thread_time() - processor

    for _ in range(2):  # the first warms up
        timed("foreground", lambda: nnUNetTrainer.save_checkpoint(trainer, str(before)))
        trainer._is_epoch_ending = True
        timed("waiting", lambda: trainer.save_checkpoint(str(after)))
        timed("background", trainer.checkpoint_writer.flush)
    return {"megabytes": after.stat().st_size / 1e6, **seconds}


def main() -> None:
    """Measure each network in turn, in processes of their own."""
    parser = command_line(__doc__)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=NETWORKS)
    options = parser.parse_args()
    rows = []
    print(machine("torch", "nnunetv2"))
    for name in options.only:
        rounds = []
        for _ in range(options.rounds):
            with tempfile.TemporaryDirectory(dir=options.work) as folder:
                rounds.append(measure_alone(Path(__file__).name, "--measure", name, folder))
        middle = {key: median(one[key] for one in rounds) for key in rounds[0]}
        rows.append(
            [
                name,
                f"{middle['megabytes']:.0f}",
                f"{middle['foreground']:.2f} ({middle['foreground clock']:.2f})",
                f"{middle['waiting']:.2f} ({middle['waiting clock']:.2f})",
                f"({middle['background clock']:.2f})",
                *(f"{100 * middle['waiting'] / epoch:.2f} %" for epoch in EPOCH_S),
            ]
        )
    shares = [f"waiting, of {epoch} s" for epoch in EPOCH_S]
    heading = ["", "MB", "in the foreground, s", "the training waits, s", "background, s", *shares]
    print_table("A checkpoint at the end of an epoch", rows, heading)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(sys.argv[2], Path(sys.argv[3]))))
    else:
        main()
