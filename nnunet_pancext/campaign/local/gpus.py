"""The GPUs of this machine that the steps of a campaign may have, one each."""

import os

from nnunet_pancext.errors import PancextError

NO_GPU = (
    "The campaign needs device cuda, but PyTorch finds no GPU here. Run `pancext doctor` for details, "
    'or set device = "cpu" in campaign.toml.'
)


def gpu_slots(device: str, gpus: int | None) -> list[str]:
    """Return CUDA_VISIBLE_DEVICES for each step that may use the device at the same time.

    One step at a time, with "", where the device is not cuda. `gpus` is how many of the GPUs are used.

    Raises:
        PancextError: there are no GPUs, or fewer than `gpus`.
    """
    if gpus is not None and gpus < 1:
        raise PancextError(f"--gpus is {gpus}; give a number from 1.")
    if device != "cuda":
        if gpus is not None:
            raise PancextError(f"--gpus is for GPUs, and the campaign's device is {device}. Omit it.")
        return [""]
    found = _visible_gpus()
    if not found:
        raise PancextError(NO_GPU)
    if gpus is not None and gpus > len(found):
        raise PancextError(f"--gpus is {gpus}, but there are {len(found)} here: {', '.join(found)}.")
    return found[:gpus]


def _visible_gpus() -> list[str]:
    """Return how CUDA_VISIBLE_DEVICES names each GPU that PyTorch finds."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(number) for number in range(torch.cuda.device_count())]
    return [name.strip() for name in names[: torch.cuda.device_count()]]
