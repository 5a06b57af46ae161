"""nnU-Net's three folders, named by environment variables."""

from __future__ import annotations

import os
from pathlib import Path

from nnunet_pancext.errors import PancextError

RAW, PREPROCESSED, RESULTS = "nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"
DUTIES = {
    RAW: "raw datasets, written by the conversion",
    PREPROCESSED: "preprocessed data and plans; needs a fast disk",
    RESULTS: "trained models",
}


def nnunet_folder(variable: str) -> Path | None:
    """Return the folder that an environment variable names; None if it is not set."""
    value = os.environ.get(variable)
    return Path(value) if value else None


def existing_folder(variable: str) -> Path:
    """Return the folder that an environment variable names.

    Raises:
        PancextError: the variable is not set, or its folder does not exist.
    """
    folder = nnunet_folder(variable)
    if folder is None:
        raise PancextError(
            f"{variable} is not set, so nnU-Net's files cannot be found. "
            f"Set it as for training: export {variable}=/path/to/{variable}"
        )
    if not folder.is_dir():
        raise PancextError(f"{variable} is {folder}, which is not a folder. Set it as for training.")
    return folder


def raw_root() -> Path:
    """Return the folder of raw datasets; raises PancextError if nnUNet_raw is not set."""
    folder = nnunet_folder(RAW)
    if folder is None:
        raise PancextError(
            "nnUNet_raw is not set, so there is no folder for the dataset. Set it, for example "
            "export nnUNet_raw=$HOME/nnunet/raw, or give the folder with --out."
        )
    return folder
