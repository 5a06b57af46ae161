"""Do nnU-Net's three folders exist, are they writable, and do they have free space?"""

import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator

from nnunet_pancext.doctor.check import Diagnosis, ok, problem, warning
from nnunet_pancext.doctor.hardware import GIB
from nnunet_pancext.nnunet_files.folders import DUTIES

MIN_FREE_GIB = 20


def check_folders() -> Iterator[Diagnosis]:
    """One diagnosis for each of the folders."""
    return map(check_folder, DUTIES)


def check_folder(variable: str) -> Diagnosis:
    """Check the folder that the environment variable names, by writing a temporary file to it."""
    value = os.environ.get(variable, "")
    if not value:
        create = f'export {variable}="$HOME/nnunet/{variable}" && mkdir -p "${variable}"'
        return problem(variable, "not set", f"{create} (add the export to ~/.bashrc to keep it)")
    if not os.path.exists(value):  # unlike Path.exists, never an error
        return problem(variable, f"{value} does not exist", f"mkdir -p {shlex.quote(value)}")
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
    if free_gib >= MIN_FREE_GIB:
        return ok(variable, state)
    remedy = f"Free some space or set {variable} to another disk: a real dataset, preprocessed, easily needs"
    return warning(variable, state, f"{remedy} {MIN_FREE_GIB} GiB.")
