"""nnU-Net's dataset.json: what label values and image channels mean, and the format of the files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_json, shown_json

NAME = "dataset.json"


@dataclass(frozen=True)
class DatasetJson:
    """A dataset.json. Reading an entry raises PancextError if the entry is malformed."""

    path: Path
    content: dict[str, Any]

    @property
    def labels(self) -> dict[str, int | list[int]]:
        """Values by label name, and lists of values by region name."""
        labels = self.content.get("labels")
        if not isinstance(labels, dict) or not labels:
            raise PancextError(
                f'{self.path} declares no labels. nnU-Net v2 needs "labels", which map names to values.'
            )
        if fault := decathlon_fault(labels):
            raise PancextError(f"{self.path} {fault}")
        label_values(labels, source=self.path)
        return labels

    @property
    def values(self) -> dict[str, tuple[int, ...]]:
        """Values of each label or region by name."""
        return label_values(self.labels, source=self.path)

    @property
    def file_ending(self) -> str:
        """Ending of image and label files, '.nii.gz' if not declared."""
        ending = self.content.get("file_ending", ".nii.gz")
        if not isinstance(ending, str) or not re.fullmatch(r"\.[^/\\\0]+", ending):
            raise PancextError(
                f"{self.path} has the file_ending {shown_json(ending)}; expected one like .nii.gz. "
                "Correct it."
            )
        return ending

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names of the channels in nnU-Net's order; a single unnamed one if none is declared."""
        names = self.content.get("channel_names", self.content.get("modality")) or {"0": ""}
        if not isinstance(names, dict):
            raise PancextError(
                f"{self.path} has {shown_json(names)} as channel_names; expected names by number, as in "
                '{"0": "CT"}. Correct it.'
            )
        return tuple(map(str, names.values()))

    @property
    def is_ct(self) -> bool:
        """Whether the first channel is in HU, which nnU-Net decides by its name."""
        return self.channel_names[0].casefold() == "ct"


def read_dataset_json(path: Path, *, remedy: str = "Correct or replace it.") -> DatasetJson:
    """Read a dataset.json; PancextError, which ends with `remedy`, if it is not a readable JSON object."""
    return DatasetJson(path, read_json(path, expect=dict, remedy=remedy))


def decathlon_fault(labels: Mapping[str, Any]) -> str:
    """Say that names and values are swapped, as in the Decathlon's files; empty where they are not."""
    if not all(str(name).isdecimal() and isinstance(value, str) for name, value in labels.items()):
        return ""
    value, name = next(iter(labels.items()))
    return (
        f'declares labels as the Decathlon does, {{"{value}": "{name}"}}; nnU-Net v2 expects '
        f'{{"{name}": {value}}}. Swap names and values, or convert the dataset with `pancext convert msd`.'
    )


def label_values(labels: Mapping[str, Any], *, source: Path | str = NAME) -> dict[str, tuple[int, ...]]:
    """Return the values of each label or region; PancextError, which names `source`, if one is malformed."""
    values = {}
    for name, declared in labels.items():
        several = tuple(declared) if isinstance(declared, (list, tuple)) else (declared,)
        if not several or not all(type(value) is int for value in several):
            raise PancextError(
                f"{source} declares the label {name!r} as {shown_json(declared)}; expected a "
                "whole number, or a list of them for a region. Correct it."
            )
        values[str(name)] = several
    return values
