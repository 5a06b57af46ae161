"""Finding the ground-truth label maps of a dataset."""

from __future__ import annotations

from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.nnunet_files.folders import existing_folder


def find_ground_truth(dataset: str) -> Path:
    """Return the folder of ground-truth label maps: nnU-Net's gt_segmentations, else the dataset's labelsTr.

    Raises:
        PancextError: neither exists.
    """
    tried = []
    for variable, name in (("nnUNet_preprocessed", "gt_segmentations"), ("nnUNet_raw", "labelsTr")):
        try:
            folder = existing_folder(variable) / dataset / name
        except PancextError as error:
            tried.append(str(error))
            continue
        if folder.is_dir():
            return folder
        tried.append(f"There is no {folder}.")
    raise PancextError(f"No ground-truth label maps of {dataset}: {' '.join(tried)}")
