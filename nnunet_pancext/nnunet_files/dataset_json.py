"""The `dataset.json` that says what the values of label maps mean."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.errors import PancextError

NAME = "dataset.json"


@dataclass(frozen=True, kw_only=True)
class DatasetJson:
    """What an evaluation and its pictures need of it."""

    labels: dict[str, int | list[int]]
    file_ending: str
    channel_names: tuple[str, ...] = ("CT",)

    @property
    def is_ct(self) -> bool:
        """Whether the first channel is in HU, by the name that nnU-Net knows a CT by."""
        return self.channel_names[0].casefold() == "ct"


def find_dataset_json(predictions: Path, truth: Path) -> Path:
    """Return the dataset.json beside the predictions, in the folder of the truth or in the one above it.

    Raises:
        PancextError: there is none.
    """
    tried = [folder / NAME for folder in (predictions, truth, truth.resolve().parent)]
    for path in tried:
        if path.is_file():
            return path
    listed = ", ".join(map(str, tried))
    raise PancextError(f"No dataset.json names the labels; tried {listed}. Give it with --dataset-json.")


def read_dataset_json(path: Path) -> DatasetJson:
    """Read the labels, the file ending and the channels.

    Raises:
        PancextError: the file is missing or no dataset.json.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        labels = {str(name): value for name, value in content["labels"].items()}
        channels = content.get("channel_names") or {"0": "CT"}
        return DatasetJson(
            labels=labels,
            file_ending=str(content.get("file_ending", ".nii.gz")),
            channel_names=tuple(str(channels[key]) for key in sorted(channels, key=int)),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PancextError(
            f"{path} is no dataset.json of nnU-Net ({type(error).__name__}: {error}). "
            'It needs "labels", names to values, and "file_ending".'
        ) from error
