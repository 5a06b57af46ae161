"""The device that a network runs on."""

import torch

from nnunet_pancext.errors import PancextError


def choose_device(name: str | None) -> torch.device:
    """Return the device of this name, if available; without a name, a GPU if available, else the CPU."""
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name is None:
        return torch.device("cuda" if available["cuda"] else "cpu")
    if not available[name]:
        raise PancextError(f"PyTorch finds no {name} device here. Omit --device, or run pancext doctor.")
    return torch.device(name)
