"""The cost of a model: parameters and multiply-adds of its network, time and memory of its training."""

import io
import statistics
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, redirect_stdout
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from nnunet_pancext.architectures import count_parameters
from nnunet_pancext.checkpoints.trained_network import find_installed_trainer
from nnunet_pancext.errors import PancextError
from nnunet_pancext.nnunet_files.models import Model
from nnunet_pancext.nnunet_files.training_log import read_training_record
from nnunet_pancext.trainers.machinery.plan_setting import Sizes, read_setting

SECONDS_PER_HOUR = 3600
NO_LOG = "no epoch in training_log_*.txt"
NO_PEAK = "the trainer does not log its peak memory"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Cost of one model; each entry is a number, or the reason why it is unknown.

    `seconds_per_epoch` is the median over all epochs of all folds, `hours` the mean over folds, `peak_gb` the
    maximum over folds and `epochs` the minimum. `device` lists all devices, and is empty if none is recorded.
    """

    model: str
    parameters: int | str
    multiply_adds: int | str
    epochs: int | str
    seconds_per_epoch: float | str
    hours: float | str
    peak_gb: float | str
    device: str


def model_cost(model: Model, folds: Sequence[int]) -> Cost:
    """Count the network's operations, and read the logs of the training."""
    parameters, multiply_adds = network_cost(model)
    trained = [model.fold(fold) for fold in folds]
    records = [record for fold in trained if (record := read_training_record(fold.folder))]
    timed = [record.seconds for record in records if record.seconds]
    peaks = [record.peak_gb for record in records if record.peak_gb is not None]
    epochs = [seconds for fold in timed for seconds in fold]
    return Cost(
        model=model.name,
        parameters=parameters,
        multiply_adds=multiply_adds,
        epochs=min(map(len, timed)) if timed else NO_LOG,
        seconds_per_epoch=statistics.median(epochs) if timed else NO_LOG,
        hours=sum(epochs) / len(timed) / SECONDS_PER_HOUR if timed else NO_LOG,
        peak_gb=max(peaks) if peaks else NO_PEAK,
        device=", ".join(dict.fromkeys(filter(None, (fold.device for fold in trained)))),
    )


def cost_remarks(costs: Sequence[Cost]) -> list[str]:
    """Warn where the costs, or the models themselves, are not comparable."""
    remarks = []
    devices = {cost.device for cost in costs if cost.device}
    if len(devices) > 1:
        listed = "; ".join(f"{cost.model} on {cost.device}" for cost in costs if cost.device)
        remarks.append(f"Times were measured on different devices and do not compare: {listed}.")
    epochs = {cost.model: cost.epochs for cost in costs if isinstance(cost.epochs, int)}
    if len(set(epochs.values())) > 1:
        listed = ", ".join(f"{model} {number}" for model, number in epochs.items())
        remarks.append(f"The models were trained for different numbers of epochs: {listed}.")
    return remarks


def network_cost(model: Model) -> tuple[int | str, int | str]:
    """Return parameters without deep supervision heads, and multiply-adds of one patch.

    Each is the number, or the reason why it is unknown; any error in third-party code becomes the reason.
    """
    try:
        with redirect_stdout(io.StringIO()):  # nnU-Net's search for trainers prints
            trainer = _find_trainer(model.trained_as.trainer)
            configuration = model.trained_as.configuration
            sizes = read_setting(model.folder / "plans.json", configuration).sizes(configuration)
            build = partial(trainer.build_network_architecture, *sizes, enable_deep_supervision=False)
            with torch.device("meta"):
                network = build()
            return count_parameters(network), count_multiply_adds(build, sizes)
    except (Exception, SystemExit) as error:
        return _reason(error), _reason(error)


def _find_trainer(name: str) -> Any:
    try:
        return find_installed_trainer(name)
    except PancextError as error:  # whose remedies are too long for a cell
        raise PancextError(f"nnU-Net finds no trainer {name} here") from error


def count_multiply_adds(build: Callable[[], nn.Module], sizes: Sizes) -> int | str:
    """Return the multiply-adds of one patch, or why they cannot be counted.

    Counts convolutions and matrix products while the network runs on tensors without data: on the meta
    device, or as fake CPU tensors for networks that need a device. Neither works where the number of
    operations depends on the image.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils.flop_counter import FlopCounterMode

    modes: list[Callable[[], AbstractContextManager[Any]]] = [lambda: torch.device("meta"), FakeTensorMode]
    reason = ""
    for without_data in modes:
        try:
            with without_data(), torch.no_grad():
                network = build().eval()
                patch = torch.zeros(1, sizes.num_input_channels, *sizes.configuration_manager.patch_size)
                with FlopCounterMode(display=False) as counter:
                    network(patch)
            return int(counter.get_total_flops()) // 2
        except Exception as error:
            reason = _reason(error)
    return f"the work may depend on the image ({reason})"


def _reason(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    first = lines[0] if lines else type(error).__name__
    return first if len(first) <= 160 else first[:157] + "..."
