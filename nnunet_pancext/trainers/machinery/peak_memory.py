"""The peak memory of a training, for its log."""

import sys

import torch


def peak_memory_message(device: torch.device) -> str | None:
    """Return a line with the peak of PyTorch's memory on a GPU, or of this process on a CPU.

    None if it cannot be measured. After `--c` it is the peak of the continued run.
    """
    if device.type == "cuda":
        return f"Peak memory: {torch.cuda.max_memory_allocated(device) / 1e9:.2f} GB on the GPU"
    if device.type != "cpu" or sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return f"Peak memory: {peak / 1e9:.2f} GB in the training process"
