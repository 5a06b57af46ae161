"""The attention maps of a network, read for a whole image."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from nnunet_pancext.architectures.dims import crop_end, resize
from nnunet_pancext.attention.model import PreparedImage, TrainedModel
from nnunet_pancext.errors import PancextError
from nnunet_pancext.trainers import list_trainers


def trainers_with_maps() -> str:
    """Return a sentence that lists the trainers whose networks have attention maps."""
    trainers: dict[str, list[str]] = {}
    for name, trainer in list_trainers().items():
        if trainer.attention and "paper" in vars(trainer):
            trainers.setdefault(trainer.attention, []).append(name)
    kinds = (f"{kind} of {', '.join(names)}" for kind, names in trainers.items())
    return f"Maps exist for the {'; the '.join(kinds)}; and for their ablations."


class PatchMaps(nn.Module):
    """All `attention_maps` of a network, each resized to the patch: (B, num_maps, *patch)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network: Any = network

    def forward(self, patch: Tensor) -> Tensor:
        size = patch.shape[2:]
        padded = self.network.padded_size(size) if hasattr(self.network, "padded_size") else size
        maps = self.network.attention_maps(patch)
        full = [level if level.shape[2:] == size else resize(level, padded) for level in maps]
        return torch.cat([crop_end(level, size) for level in full], dim=1)


def read_patch_maps(model: TrainedModel, image: PreparedImage) -> dict[str, NDArray[np.float32]]:
    """Return the network's `attention_maps` for the whole image (slice, row, column), by name.

    Values lie between 0 and 1. Overlapping patches are averaged as nnU-Net averages predictions.
    """
    network: Any = model.network
    names: list[str] = network.attention_names
    maps = model.slide(PatchMaps(network), len(names), image)
    return dict(zip(names, model.restore(maps, image), strict=True))


def read_non_local(
    model: TrainedModel, image: PreparedImage, voxel: tuple[int, int, int]
) -> dict[str, NDArray[np.float32]]:
    """Return what `voxel` (slice, row, column) attends to in each non-local block, by name.

    Each map is the softmax row of the position that contains the voxel, in the patch around it; its values
    over the deepest positions sum to 1. Outside the patch it is 0.
    """
    patch_size = tuple(model.configuration.patch_size)
    target = model.preprocessed_voxel(voxel, image)
    data, axes = image.data, len(patch_size)
    window, inside = [], []
    for length, index, size in zip(data.shape[-axes:], target[-axes:], patch_size, strict=True):
        start = min(max(0, index - size // 2), max(0, length - size))
        window.append(slice(start, min(length, start + size)))
        inside.append(index - start)
    # A 2D network sees one slice.
    place: tuple[Any, ...] = (slice(None), *target[:-axes], *window)
    patch = data[place]
    missing = [full - length for full, length in zip(patch_size, patch.shape[1:], strict=True)]
    padded = functional.pad(patch, [amount for axis in reversed(missing) for amount in (0, axis)])
    network: Any = model.network
    device = next(network.parameters()).device
    with torch.inference_mode():
        attentions = network.non_local_maps(padded[None].to(device), tuple(inside))
    maps = []
    for attention in attentions:
        enlarged = functional.interpolate(attention.float().cpu(), size=patch_size, mode="nearest")[0, 0]
        whole = torch.zeros(data.shape[1:])
        whole[place[1:]] = enlarged[tuple(slice(0, length) for length in patch.shape[1:])]
        maps.append(whole)
    restored = model.restore(torch.stack(maps).numpy(), image)
    return {f"nonlocal_block{number}": values for number, values in enumerate(restored, start=1)}


def has_attention(network: Any) -> bool:
    """Return whether a network has attention maps."""
    return bool(getattr(network, "attention_names", ())) or needs_voxel(network)


def needs_voxel(network: Any) -> bool:
    """Return whether a network only has the maps of one voxel: those of non-local blocks."""
    return not getattr(network, "attention_names", ()) and bool(getattr(network, "num_non_local_blocks", 0))


def read_attention(
    model: TrainedModel, image: PreparedImage, voxel: tuple[int, int, int] | None
) -> dict[str, NDArray[np.float32]]:
    """Return every attention map that the model's network has, by name.

    Raises:
        PancextError: it has none, or has non-local blocks and no voxel is given.
    """
    if not has_attention(model.network):
        network = type(model.network).__name__
        raise PancextError(f"There are no attention maps of {network}. {trainers_with_maps()}")
    if not needs_voxel(model.network):
        return read_patch_maps(model, image)
    if voxel is None:
        raise PancextError(
            "A non-local block attends from one voxel to all. Say from which: --at SLICE ROW COLUMN."
        )
    return read_non_local(model, image, voxel)
