"""Parameters and multiply-adds of a model's network, from its plan and the class of its trainer."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import AbstractContextManager, redirect_stdout
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from nnunet_pancext.architectures import count_parameters
from nnunet_pancext.errors import PancextError
from nnunet_pancext.nnunet_files.models import Model
from nnunet_pancext.trainers import find_trainer
from nnunet_pancext.trainers.machinery.plan_setting import Sizes, read_setting


@dataclass(frozen=True, kw_only=True)
class NetworkCost:
    """Of the network without the heads of deep supervision; multiply-adds are those of one patch forward.

    Each is the number, or why there is none.
    """

    parameters: int | str
    multiply_adds: int | str


def network_cost(model: Model) -> NetworkCost:
    """Build the network without memory for its weights, and count.

    Whatever goes wrong in the code of others is told in place of the number.
    """
    try:
        with redirect_stdout(io.StringIO()):  # nnU-Net's search for trainers prints where it looks
            trainer = _trainer_class(model.trainer)
            sizes = read_setting(model.folder / "plans.json", model.configuration).sizes(model.configuration)
            with torch.device("meta"):
                network = _build(trainer, sizes)
            parameters = count_parameters(network)
            multiply_adds = count_multiply_adds(lambda: _build(trainer, sizes), sizes)
    except (Exception, SystemExit) as error:
        reason = _reason(error)
        return NetworkCost(parameters=reason, multiply_adds=reason)
    return NetworkCost(parameters=parameters, multiply_adds=multiply_adds)


def count_multiply_adds(build: Callable[[], nn.Module], sizes: Sizes) -> int | str:
    """Return the multiply-adds of one patch, or why they cannot be counted.

    Convolutions and matrix products are counted, by running the network on tensors without content: first as
    they are on no device, then, for networks that ask for one, as they are on a CPU. Where the work depends
    on the image, neither goes.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils.flop_counter import FlopCounterMode

    nowhere: list[Callable[[], AbstractContextManager[Any]]] = [lambda: torch.device("meta"), FakeTensorMode]
    reason = ""
    for without_content in nowhere:
        try:
            with without_content(), torch.no_grad():
                network = build().eval()
                patch = torch.zeros(1, sizes.num_input_channels, *sizes.configuration_manager.patch_size)
                with FlopCounterMode(display=False) as counter:
                    network(patch)
            return int(counter.get_total_flops()) // 2
        except Exception as error:
            reason = _reason(error)
    return f"the work may depend on the image ({reason})"


def _trainer_class(name: str) -> Any:
    ours = find_trainer(name)
    if ours is not None:
        return ours
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

    try:
        return recursive_find_trainer_class_by_name(name)
    except (RuntimeError, PancextError) as error:  # the second: similar ones exist
        raise PancextError(f"nnU-Net finds no trainer {name} here") from error


def _build(trainer: Any, sizes: Sizes) -> nn.Module:
    return trainer.build_network_architecture(
        sizes.plans_manager,
        sizes.configuration_manager,
        sizes.num_input_channels,
        sizes.num_output_channels,
        enable_deep_supervision=False,
    )


def _reason(error: BaseException) -> str:
    said = str(error).strip().splitlines()
    first = said[0] if said else type(error).__name__
    return first if len(first) <= 160 else first[:157] + "..."
