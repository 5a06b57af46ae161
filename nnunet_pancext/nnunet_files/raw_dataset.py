"""A finished raw dataset: finding it, its cases, their patients, its split and its ground truth."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_json
from nnunet_pancext.nnunet_files.case_files import testing_files, training_files
from nnunet_pancext.nnunet_files.dataset_json import DatasetJson, read_dataset_json
from nnunet_pancext.nnunet_files.folders import PREPROCESSED, RAW, existing_folder, find_dataset_folder

FRAME = re.compile(r"(.+?)_frame\d+")  # ACDC has several frames of a patient


@dataclass(frozen=True)
class RawDataset:
    """The cases of a raw dataset with the image of their first channel, their patients, and split.json."""

    declared: DatasetJson
    training: dict[str, Path]
    test: dict[str, Path]
    patients: dict[str, str]
    split: dict[str, Any]

    @property
    def folder(self) -> Path:
        """The folder of the dataset."""
        return self.declared.path.parent


def find_dataset(name: str) -> Path:
    """Return the folder of a raw dataset given as a path, name or number; PancextError if there is none."""
    given = Path(os.path.abspath(name))  # has the dataset's name also for '.'
    if name and (given / "dataset.json").is_file():
        return given
    if name and (len(Path(name).parts) != 1 or name == ".."):
        problem = "holds no dataset.json" if given.exists() else "does not exist"
        raise PancextError(f"{given} {problem}. Give the number, the name or the folder of a raw dataset.")
    return find_dataset_folder(RAW, name, holding="dataset.json")


def read_dataset(folder: Path, *, patient_regex: str | None = None) -> RawDataset:
    """Return the cases of a raw dataset; PancextError without any, or if `patient_regex` is malformed."""
    declared = read_dataset_json(folder / "dataset.json")
    training, test = (
        {case: files.images[0] for case, files in cases.items() if 0 in files.images}
        for cases in (training_files(declared), testing_files(declared))
    )
    if not training:
        raise PancextError(
            f"No training case of {folder} has its first channel, *_0000{declared.file_ending}. Add it."
        )
    split_file = folder / "split.json"
    split = read_json(split_file, expect=dict) if split_file.is_file() else {}
    recorded = split.get("patients", {})
    if not isinstance(recorded, dict) or not all(isinstance(patient, str) for patient in recorded.values()):
        raise PancextError(
            f'"patients" in {split_file} must map cases to names, like {{"case_1": "patient_1"}}. Correct it.'
        )
    patients = {
        case: patient_of(case, recorded=recorded, expression=patient_regex) for case in (*training, *test)
    }
    return RawDataset(declared, training, test, patients, split)


def find_ground_truth(dataset: str) -> Path:
    """Return nnU-Net's gt_segmentations, else the dataset's labelsTr; PancextError if neither exists."""
    tried = []
    for variable, name in ((PREPROCESSED, "gt_segmentations"), (RAW, "labelsTr")):
        try:
            folder = existing_folder(variable) / dataset / name
        except PancextError as error:
            tried.append(str(error))
            continue
        if folder.is_dir():
            return folder
        tried.append(f"There is no {folder}.")
    raise PancextError(f"No ground-truth label maps of {dataset}: {' '.join(tried)}")


def patient_of(case: str, *, recorded: Mapping[str, str], expression: str | None = None) -> str:
    """Return the patient of a case by `--patient-regex`, else as recorded in split.json, else by its name.

    Frames with one name share a patient, other cases are patients of their own. PancextError where the
    expression does not compile, or its first group matches no patient.
    """
    if expression is None:
        frame = FRAME.fullmatch(case)
        return str(recorded.get(case) or (frame[1] if frame else case))
    try:
        match = re.search(expression, case)
    except re.error as error:
        raise PancextError(
            f"--patient-regex {expression!r} is not a regular expression: {error}. Correct it."
        ) from error
    if match is None or not match.groups() or not match[1]:
        raise PancextError(
            f"--patient-regex {expression!r} finds no patient in the case {case!r}. "
            "Its first group must be the patient, as in '(patient[0-9]+)_'."
        )
    return match[1]


def recorded_patients(split_file: Path) -> dict[str, str]:
    """Return the patients by case recorded in a dataset's split.json, if any."""
    try:
        split = read_json(split_file)
    except PancextError:
        return {}  # only datasets converted by `pancext convert` have one
    patients = split.get("patients") if isinstance(split, dict) else None
    return patients if isinstance(patients, dict) else {}
