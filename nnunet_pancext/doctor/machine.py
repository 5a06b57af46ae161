"""GPU, main memory, and nnU-Net's three folders: do they exist, are they writable, is there free space?"""

import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator

from nnunet_pancext.doctor.check import Diagnosis, ok, one_line, problem, warning
from nnunet_pancext.nnunet_files.folders import DUTIES, misread_value, relative_value

GIB = 2**30
MIN_FREE_MEMORY_GIB = 8
MIN_FREE_DISK_GIB = 20


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
    if memory.available >= MIN_FREE_MEMORY_GIB * GIB:
        yield ok("memory", state)
    else:
        remedy = "Close other programs, or use fewer processes: export nnUNet_def_n_proc=1 nnUNet_n_proc_DA=1"
        yield warning("memory", state, remedy)


def check_folders() -> Iterator[Diagnosis]:
    """One diagnosis for each of the folders, and a warning before it where its path is relative."""
    for variable in DUTIES:
        if fault := relative_value(variable):
            yield warning(variable, *fault)
        yield check_folder(variable)


def check_folder(variable: str) -> Diagnosis:
    """Check the folder that the environment variable names, by writing a temporary file to it."""
    value = os.environ.get(variable, "")
    if not value:
        create = f'export {variable}="$HOME/nnunet/{variable}" && mkdir -p "${variable}"'
        return problem(variable, "not set", f"{create} (add the export to ~/.bashrc to keep it)")
    if fault := misread_value(variable, value):
        return problem(variable, *fault)
    if not os.path.exists(value):  # unlike Path.exists, never an error
        return problem(variable, f"{value} does not exist", f"mkdir -p {shlex.quote(os.path.abspath(value))}")
    if not os.path.isdir(value):
        return problem(variable, f"{value} is not a folder", f"export {variable}=/path/to/a/folder")
    try:
        with tempfile.NamedTemporaryFile(dir=value, prefix=".pancext-doctor-") as trial:
            trial.write(b"written by pancext doctor as a test")
            trial.flush()
        free_gib = shutil.disk_usage(value).free / GIB
    except OSError as error:
        return problem(
            variable,
            f"cannot write to {value}: {error.strerror or error}",
            f"Change its permissions (chmod u+rwx {shlex.quote(value)}), free space, or set {variable} to "
            "another folder.",
        )
    state = f"{value}, {free_gib:.0f} GiB free"
    if free_gib >= MIN_FREE_DISK_GIB:
        return ok(variable, state)
    remedy = f"Free some space or set {variable} to another disk: a real dataset, preprocessed, easily needs"
    return warning(variable, state, f"{remedy} {MIN_FREE_DISK_GIB} GiB.")
