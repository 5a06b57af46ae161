"""GPU and main memory."""

import shutil
from collections.abc import Iterator

from nnunet_pancext.doctor.check import Diagnosis, ok, one_line, warning

GIB = 2**30
MIN_FREE_GIB = 8


def check_gpu() -> Iterator[Diagnosis]:
    """GPUs that PyTorch can use."""
    try:
        import torch
    except Exception as error:  # a broken torch is reported among the versions
        yield warning("GPU", f"not checked: {one_line(error)}", "Repair torch first.")
        return
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            gpu = torch.cuda.get_device_properties(number)
            yield ok(f"GPU {number}", f"{gpu.name}, {gpu.total_memory / GIB:.0f} GiB")
    elif torch.backends.mps.is_available():
        yield ok("GPU", "Apple (MPS); pass -device mps to nnUNetv2_train and nnUNetv2_predict")
    else:
        remedy = "Pass -device cpu to nnUNetv2_train and nnUNetv2_predict; training will be slow."
        if torch.version.cuda is None and shutil.which("nvidia-smi"):
            remedy += (
                " An NVIDIA driver is installed, but this torch is a build without CUDA: https://pytorch.org"
            )
        yield warning("GPU", "none that PyTorch can use", remedy)


def check_memory() -> Iterator[Diagnosis]:
    """Free main memory."""
    import psutil

    memory = psutil.virtual_memory()
    state = f"{memory.available / GIB:.1f} GiB free of {memory.total / GIB:.1f} GiB"
    if memory.available >= MIN_FREE_GIB * GIB:
        yield ok("memory", state)
    else:
        remedy = "Close other programs, or use fewer processes: export nnUNet_def_n_proc=1 nnUNet_n_proc_DA=1"
        yield warning("memory", state, remedy)
