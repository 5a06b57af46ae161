"""A checkpoint of nnU-Net, with every entry that its users rely on checked."""

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nnunet_pancext.checkpoints.pickled import UnsafeFile, require_plain
from nnunet_pancext.checkpoints.torch_file import read_torch_file
from nnunet_pancext.io.console_text import printable
from nnunet_pancext.io.files import atomic_path

AXES = range(3)
# Entry, accepted types, whether nnU-Net needs it to predict.
ENTRIES: tuple[tuple[str, tuple[type, ...], bool], ...] = (
    ("network_weights", (dict,), True),
    ("trainer_name", (str,), True),
    ("init_args", (dict,), True),
    ("inference_allowed_mirroring_axes", (tuple, list, type(None)), False),
    ("current_epoch", (int,), False),
    ("logging", (dict, type(None)), False),
    ("optimizer_state", (dict, type(None)), False),
    ("grad_scaler_state", (dict, type(None)), False),
    ("_best_ema", (int, float, np.number, type(None)), False),
)
COPIES = ("plans", "dataset_json")  # of files beside the checkpoint
WRAPPED = re.compile(r"^(module\.)?(_orig_mod\.)?")  # a network wrapped for several GPUs, or compiled
MOST_REPETITIONS = 16  # of a stored weight under several names; nnU-Net's encoders have 4
OTHER_MODEL = "Ask for a checkpoint that nnUNetv2_train wrote."


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint, whose entries have the types that nnU-Net writes."""

    path: Path
    content: dict[str, Any]

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """The network's tensors by name, without the prefix of a network wrapped for several GPUs."""
        return self.content["network_weights"]

    @property
    def trainer(self) -> str:
        return self.content["trainer_name"]

    @property
    def configuration(self) -> str:
        return self.content["init_args"]["configuration"]

    @property
    def plans(self) -> dict[str, Any]:
        """The plan that the network was trained with; empty in a checkpoint without a copy of it."""
        return self.content["init_args"].get("plans", {})

    @property
    def dataset_json(self) -> dict[str, Any]:
        return self.content["init_args"].get("dataset_json", {})

    @property
    def epochs(self) -> int | None:
        """The number of finished epochs, if recorded."""
        return self.content.get("current_epoch")

    @property
    def mirroring_axes(self) -> tuple[int, ...] | None:
        """The axes along which a prediction may be mirrored."""
        axes = self.content.get("inference_allowed_mirroring_axes")
        return None if axes is None else tuple(axes)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint without running code in it.

    Raises:
        UnsafeFile: as `read_torch_file`; or an entry is missing or not what nnU-Net writes, or a weight is
            NaN or infinite.
        OSError: the file cannot be read.
    """
    content = read_torch_file(path)
    if type(content) is not dict:
        raise UnsafeFile(f"{path} holds a {type(content).__name__}, not a checkpoint. {OTHER_MODEL}")
    for name, types, is_needed in ENTRIES:
        if name not in content and not is_needed:
            continue
        if not isinstance(content.get(name), types):
            problem = (
                f"{name!r} is a {type(content[name]).__name__}" if name in content else f"it has no {name!r}"
            )
            raise UnsafeFile(f"{path} is not a checkpoint of nnU-Net v2: {problem}. {OTHER_MODEL}")
    init_args = content["init_args"]
    if not isinstance(init_args.get("configuration"), str):
        raise UnsafeFile(f"{path} has no 'configuration' in its 'init_args'. {OTHER_MODEL}")
    axes = content.get("inference_allowed_mirroring_axes")
    if axes is not None and not all(type(axis) is int and axis in AXES for axis in axes):
        raise UnsafeFile(f"{path} mirrors along the axes {axes}; expected numbers from 0 to 2. {OTHER_MODEL}")
    for name in COPIES:
        try:
            if not isinstance(init_args.get(name, {}), dict):
                raise UnsafeFile("is not an object")
            require_plain(init_args.get(name), leaves=(np.generic,))
        except UnsafeFile as error:
            raise UnsafeFile(f"{path} has {name!r} that {error}. {OTHER_MODEL}") from error
    _require_weights(content["network_weights"], path=path)
    return Checkpoint(path, {**content, "network_weights": _unwrapped(content["network_weights"], path=path)})


def write_checkpoint(checkpoint: Checkpoint, target: Path) -> None:
    """Write the content anew, atomically; NumPy numbers become Python's."""
    with atomic_path(target) as partial, partial.open("wb") as file:  # PyTorch would write a path's name
        torch.save(_with_python_numbers(checkpoint.content), file)


def _require_weights(weights: Mapping[Any, Any], *, path: Path) -> None:
    for name, tensor in weights.items():
        if type(name) is not str or not isinstance(tensor, torch.Tensor):
            shown = printable(repr(name))
            raise UnsafeFile(f"{path} has {shown} among its weights, which is not a tensor. {OTHER_MODEL}")
    if sum(tensor.nbytes for tensor in weights.values()) > MOST_REPETITIONS * path.stat().st_size:
        raise UnsafeFile(
            f"{path} has its stored weights under more than {MOST_REPETITIONS} names each. {OTHER_MODEL}"
        )
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise UnsafeFile(
                f"{path} has NaN or infinity in {printable(name)}, so every prediction would be NaN. "
                "Ask for another checkpoint of the training, such as checkpoint_best.pth."
            )


def _unwrapped(weights: dict[str, torch.Tensor], *, path: Path) -> dict[str, torch.Tensor]:
    """Return the weights by the names that nnU-Net predicts with."""
    if not any(name.startswith(("module.", "_orig_mod.")) for name in weights):
        return weights
    unwrapped = OrderedDict((WRAPPED.sub("", name), tensor) for name, tensor in weights.items())
    if len(unwrapped) < len(weights):
        raise UnsafeFile(f"{path} has weights both with and without the prefix 'module.'. {OTHER_MODEL}")
    return unwrapped


def _with_python_numbers(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if type(value) is dict:
        return {key: _with_python_numbers(entry) for key, entry in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_with_python_numbers, value))
    return value
