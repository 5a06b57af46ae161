"""Prints what the ISB loss and the loss weighting add to a training step of nnU-Net's own network.

python benchmarks/loss_terms.py            PlainConvUNet, 3 classes, 40 x 224 x 224; minutes on a CPU

Each term is added to the same loss of the same network, in turn with the loss without it.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from statistics import median
from typing import Any

import torch
from report import print_table
from trainer_steps import PLAIN, build, case_of, loss_of

from nnunet_pancext.losses import ISB_WEIGHT, ISBLoss, PhaseWeights
from nnunet_pancext.trainers.loss_weights import set_loss_weights
from nnunet_pancext.trainers.shared_boundary import LossWithISB

PATCH = (40, 224, 224)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    network, _ = build(PLAIN, 3)
    network.to(options.device)
    image, labels = case_of(PLAIN, (1, *PATCH), options.device)
    with torch.no_grad():
        loss, targets = loss_of(PLAIN, network(image), labels)
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.99, nesterov=True)

    def seconds(criterion: Callable[..., Any], weights: tuple[float, float] = (1.0, 1.0)) -> float:
        start = time.perf_counter()
        set_loss_weights(loss, *weights)
        optimiser.zero_grad(set_to_none=True)
        criterion(network(image), targets).backward()
        optimiser.step()
        if options.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    weighting = PhaseWeights(num_epochs=1000)
    variants: dict[str, Callable[[], float]] = {
        "Dice + CE": lambda: seconds(loss),
        "phase-based weights": lambda: seconds(loss, weighting(0)),
        "+ 0.4 ISB": lambda: seconds(LossWithISB(loss, ISBLoss(), ISB_WEIGHT)),
    }
    seconds(loss)  # libraries choose their kernels
    rounds = [{name: run() for name, run in variants.items()} for _ in range(options.rounds)]
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "nnunetv2"))
    print(f"{date.today()}, {options.device}, {os.cpu_count()} processors {platform.machine()}, {versions}")
    rows = []
    for name in variants:
        ratio = median(turn[name] / turn["Dice + CE"] for turn in rounds)
        rows.append([name, f"{median(turn[name] for turn in rounds):.2f}", f"{ratio:.3f}"])
    size = " x ".join(map(str, PATCH))
    print_table(f"Step of {PLAIN}, 1 x {size}", rows, ["loss", "seconds", "time ratio"])


if __name__ == "__main__":
    main()
