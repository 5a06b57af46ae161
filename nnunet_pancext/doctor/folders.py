"""Do nnU-Net's three folders exist, can one write to them, and is there room?"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nnunet_pancext.doctor.check import Finding, ok, problem, warning

FOLDER_VARIABLES = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
GIB = 2**30
LEAST_FREE_GIB = 20


def check_folders() -> Iterator[Finding]:
    """One finding for each of the folders."""
    for variable in FOLDER_VARIABLES:
        yield check_folder(variable)


def check_folder(variable: str) -> Finding:
    """Look at the folder that the environment variable names; a file is written to it for a try."""
    value = os.environ.get(variable, "")
    if not value:
        return problem(
            variable,
            "not set",
            f'export {variable}="$HOME/nnunet/{variable}" && mkdir -p "${variable}" '
            "(add the export to ~/.bashrc to keep it)",
        )
    folder = Path(value)
    if not os.path.exists(folder):  # unlike Path.exists, never an error
        return problem(variable, f"{value} does not exist", f"mkdir -p {shlex.quote(value)}")
    if not folder.is_dir():
        return problem(variable, f"{value} is not a folder", f"export {variable}=/path/to/a/folder")
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".pancext-doctor-") as trial:
            trial.write(b"written by pancext doctor for a try")
            trial.flush()
        free_gib = shutil.disk_usage(folder).free / GIB
    except OSError as error:
        return problem(
            variable,
            f"cannot write to {value}: {error.strerror or error}",
            f"Change its permissions (chmod u+rwx {shlex.quote(value)}), free space, or set {variable} to "
            "another folder.",
        )
    found = f"{value}, {free_gib:.0f} GiB free"
    if free_gib < LEAST_FREE_GIB:
        return warning(
            variable,
            found,
            f"Free some space or set {variable} to another disk: a real dataset, preprocessed, easily needs "
            f"{LEAST_FREE_GIB} GiB.",
        )
    return ok(variable, found)
