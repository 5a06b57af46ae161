"""The files that a trained model needs: plans.json, dataset.json and the checkpoint of each fold."""

from collections.abc import Sequence
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.nnunet_files.dataset_json import NAME, DatasetJson, read_dataset_json


def require_trained_model(folder: Path, checkpoints: Sequence[Path], *, remedy: str) -> DatasetJson:
    """Return the dataset.json of a trained model that has the `checkpoints`.

    Raises:
        PancextError: a file is missing; if it is a checkpoint, the message lists the others and ends with
            `remedy`.
    """
    for name in ("plans.json", NAME):
        if not (folder / name).is_file():
            raise PancextError(
                f"{folder} is not a trained model: it has no {name}. Give the folder that nnUNetv2_train "
                "wrote, $nnUNet_results/DatasetXXX_Name/TRAINER__PLANS__CONFIGURATION."
            )
    dataset = read_dataset_json(folder / NAME, remedy="Copy the model again.")
    for checkpoint in checkpoints:
        if not checkpoint.is_file():
            available = sorted(
                str(path.relative_to(folder)) for path in folder.glob("fold_*/checkpoint_*.pth")
            )
            raise PancextError(
                f"There is no {checkpoint}. This model has: {', '.join(available) or 'no checkpoint'}. "
                f"{remedy}"
            )
    return dataset
