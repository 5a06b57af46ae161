"""The peak memory of a training, for its log."""

from __future__ import annotations

import sys

import torch

GB = 1e9
KB = 1024
MESSAGE = "Peak memory: {peak:.2f} GB {where}"


def peak_memory_message(device: torch.device) -> str | None:
    """Return a line with the peak of PyTorch's memory on a GPU, or of this process on a CPU.

    None if it cannot be measured. After `--c` it is the peak of the continued run.
    """
    if device.type == "cuda":
        return MESSAGE.format(peak=torch.cuda.max_memory_allocated(device) / GB, where="on the GPU")
    if device.type != "cpu" or sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else KB
    return MESSAGE.format(peak=peak * unit / GB, where="in the training process")
