"""Parameters and multiply-adds of a model's network, from its plan and the class of its trainer."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import AbstractContextManager, redirect_stdout
from typing import Any

import torch
from torch import nn

from nnunet_pancext.architectures import count_parameters
from nnunet_pancext.errors import PancextError
from nnunet_pancext.nnunet_files.models import Model
from nnunet_pancext.trainers import find_trainer
from nnunet_pancext.trainers.machinery.plan_setting import Sizes, read_setting


def network_cost(model: Model) -> tuple[int | str, int | str]:
    """Return parameters without deep supervision heads, and multiply-adds of one patch.

    Each is the number, or the reason why it is unknown; any error in third-party code becomes the reason.
    """
    try:
        with redirect_stdout(io.StringIO()):  # nnU-Net's search for trainers prints
            trainer = _trainer_class(model.trained_as.trainer)
            configuration = model.trained_as.configuration
            sizes = read_setting(model.folder / "plans.json", configuration).sizes(configuration)
            with torch.device("meta"):
                network = _build(trainer, sizes)
            return count_parameters(network), count_multiply_adds(lambda: _build(trainer, sizes), sizes)
    except (Exception, SystemExit) as error:
        return _reason(error), _reason(error)


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


def _trainer_class(name: str) -> Any:
    trainer = find_trainer(name)
    if trainer is not None:
        return trainer
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

    try:
        return recursive_find_trainer_class_by_name(name)
    except (RuntimeError, PancextError) as error:  # PancextError: a similar name exists
        raise PancextError(f"nnU-Net finds no trainer {name} here") from error


def _build(trainer: Any, sizes: Sizes) -> nn.Module:
    return trainer.build_network_architecture(*sizes, enable_deep_supervision=False)


def _reason(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    first = lines[0] if lines else type(error).__name__
    return first if len(first) <= 160 else first[:157] + "..."
