"""Prints the cost that the ISB loss and the loss weighting add to a training step of nnU-Net's own network.

python benchmarks/loss_terms.py            PlainConvUNet, 3 classes, 40 x 224 x 224; minutes on a CPU

Between whole steps the value and gradient of each loss are timed by themselves on the outputs of that step,
because the cost of a term is smaller than the variation between two steps.
"""

import time
from collections.abc import Callable
from statistics import median

import torch
from report import command_line, machine, print_table
from trainer_steps import PLAIN, build, case_of, loss_of

from nnunet_pancext.losses import ISB_WEIGHT, ISBLoss, PhaseWeights
from nnunet_pancext.trainers.machinery.loss_weights import set_loss_weights
from nnunet_pancext.trainers.machinery.shared_boundary import LossWithISB

PATCH = (40, 224, 224)
REPEATS = 5  # of each loss after each step


def main() -> None:
    """Print the table."""
    parser = command_line(__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    network, _ = build(PLAIN, 3, cpu=False)
    network.to(options.device)
    image, labels = case_of(PLAIN, (1, *PATCH), options.device)
    with torch.no_grad():
        loss, targets = loss_of(PLAIN, network(image), labels)
    with_isb = LossWithISB(loss, ISBLoss(), ISB_WEIGHT)
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.99, nesterov=True)
    weighting = PhaseWeights(num_epochs=1000)

    def seconds(work: Callable[[], None]) -> float:
        start = time.perf_counter()
        work()
        if options.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        loss(network(image), targets).backward()
        optimiser.step()

    def value_and_gradient(criterion: Callable[..., torch.Tensor], weights: tuple[float, float]) -> None:
        set_loss_weights(loss, *weights)
        torch.autograd.grad(criterion(outputs, targets), outputs, allow_unused=True)

    variants = {
        "Dice + CE": lambda: value_and_gradient(loss, (1.0, 1.0)),
        "phase-based weights": lambda: value_and_gradient(loss, weighting(0)),
        "+ 0.4 ISB": lambda: value_and_gradient(with_isb, (1.0, 1.0)),
    }
    steps, times = [], {name: [] for name in variants}
    for turn in range(options.rounds + 1):
        set_loss_weights(loss, 1.0, 1.0)
        whole = seconds(step)
        with torch.no_grad():
            outputs = [output.detach().requires_grad_() for output in network(image)]
        for _ in range(REPEATS):
            taken = {name: seconds(work) for name, work in variants.items()}
            if turn:  # in the first round libraries choose their kernels
                for name, duration in taken.items():
                    times[name].append(duration)
        if turn:
            steps.append(whole)
    base, step_seconds = median(times["Dice + CE"]), median(steps)
    print(machine("torch", "nnunetv2", notes=(options.device,)))
    rows = [["whole step, Dice + CE", f"{step_seconds:.2f}", "1.000"]]
    for name, values in times.items():
        added = median(values) - base
        rows.append([f"loss alone, {name}", f"{median(values):.3f}", f"{1 + added / step_seconds:.3f}"])
    size = " x ".join(map(str, PATCH))
    print_table(f"Step of {PLAIN}, 1 x {size}", rows, ["", "seconds", "relative step time"])


if __name__ == "__main__":
    main()
