"""What there is to compute with: graphics card, memory, processor cores."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from nnunet_pancext.doctor.check import Finding, ok, one_line, warning

GIB = 2**30
LEAST_FREE_GIB = 8


def check_gpu() -> Iterator[Finding]:
    """Graphics cards that PyTorch can use."""
    try:
        import torch
    except Exception as error:  # a broken torch is reported among the versions
        yield warning("GPU", f"not looked for: {one_line(error)}", "Repair torch first.")
        return
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            card = torch.cuda.get_device_properties(number)
            yield ok(f"GPU {number}", f"{card.name}, {card.total_memory / GIB:.0f} GiB")
        return
    if torch.backends.mps.is_available():
        yield ok("GPU", "Apple (MPS); pass -device mps to nnUNetv2_train and nnUNetv2_predict")
        return
    remedy = "Pass -device cpu to nnUNetv2_train and nnUNetv2_predict. Training is slow that way."
    if torch.version.cuda is None and shutil.which("nvidia-smi"):
        remedy += " There is an NVIDIA driver, but this torch is a build without CUDA: https://pytorch.org"
    yield warning("GPU", "none that PyTorch can use", remedy)


def check_memory() -> Iterator[Finding]:
    """Free main memory."""
    import psutil

    memory = psutil.virtual_memory()
    free_gib = memory.available / GIB
    found = f"{free_gib:.1f} GiB free of {memory.total / GIB:.1f} GiB"
    if free_gib < LEAST_FREE_GIB:
        yield warning(
            "memory",
            found,
            "Close other programs, or use fewer processes: export nnUNet_def_n_proc=1 nnUNet_n_proc_DA=1",
        )
    else:
        yield ok("memory", found)


def usable_cpus() -> int:
    """Return how many processor cores this process may use, which a cluster can limit."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
