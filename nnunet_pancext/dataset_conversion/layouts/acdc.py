"""The Automated Cardiac Diagnosis Challenge: two frames of a heart in MRI, and `convert_acdc`."""

from __future__ import annotations

import re
from pathlib import Path, PurePath
from typing import Any

from nnunet_pancext.dataset_conversion.conversion import ConversionResult, convert_source
from nnunet_pancext.dataset_conversion.target import RawTarget
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import walk_visible_files
from nnunet_pancext.raw_cases.source import Problem, SourceCase, SourceDataset

PATIENT = re.compile(r"patient\d{3}")
FRAME = re.compile(r"(patient\d{3})_frame(\d{2})(_gt)?\.nii\.gz")
INFO = "Info.cfg"
PARTS = ("training", "testing")
PHASES = ("ED", "ES")
LAYOUT = "expected are folders patient001, patient002, … with Info.cfg and patient001_frame01.nii.gz in them"
LABELS = {"background": 0, "right ventricle": 1, "myocardium": 2, "left ventricle": 3}
PROVENANCE = {
    "licence": "CC BY-NC-SA 4.0",
    "reference": "Bernard et al., IEEE Transactions on Medical Imaging 37 (2018) 2514, "
    "doi:10.1109/TMI.2018.2837502",
    "description": "ACDC: short-axis cine MRI at end-diastole and end-systole",
}


def convert_acdc(
    source: Path, *, raw_root: Path, dataset_id: int = 27, name: str = "ACDC", **options: Any
) -> ConversionResult:
    """Convert ACDC's database, a folder or an archive, into an nnU-Net raw dataset under `raw_root`.

    A patient's two frames are two cases, always on one side of a split: the folds of 'nnunet' are made by
    patient and written to a file, because nnU-Net's own would be made by case. `split` is 'nnunet' (the
    folder `testing` is the test set), counts of patients 'A/B', or the name of a published one. The other
    options are those of `convert_source`.
    """
    return convert_source(
        [source],
        read=read_acdc,
        target=RawTarget(raw_root=raw_root, dataset_id=dataset_id, name=name),
        layout="acdc",
        labels="heart",
        **options,
    )


def read_acdc(folder: Path) -> SourceDataset:
    """Return the frames below `folder`; PancextError for another layout."""
    folders: dict[str, list[Path]] = {}
    ignored = []
    for path in sorted(walk_visible_files(folder)):
        if PATIENT.fullmatch(path.parent.name):
            same_patient = folders.setdefault(path.parent.name, [])
            if path.parent not in same_patient:
                same_patient.append(path.parent)
            if path.name != INFO and not FRAME.fullmatch(path.name):
                ignored.append(path.relative_to(folder).as_posix())
        else:
            ignored.append(path.relative_to(folder).as_posix())
    if not folders:
        raise PancextError(f"no patients in {folder}: {LAYOUT}. Give the folder that holds them.")
    cases, problems = [], []
    for patient, patient_folders in sorted(folders.items()):
        if len(patient_folders) > 1:
            listed = " and ".join(path.relative_to(folder).as_posix() for path in patient_folders)
            message = f"{listed} are folders of one patient. Remove the one that is wrong."
            problems.append(Problem(patient, "duplicate id", message))
            continue
        new_cases, new_problems = read_patient(patient_folders[0], root=folder)
        cases += new_cases
        problems += new_problems
    return SourceDataset(
        title="ACDC",
        root=folder,
        cases=tuple(cases),
        unlabelled=(),
        declared_labels=LABELS,
        target_labels=LABELS,
        label_mapping=None,
        layout_problems=tuple(problems),
        channel_names={"0": "cineMRI"},
        provenance=PROVENANCE,
        ignored_files=tuple(ignored),
    )


def read_patient(folder: Path, *, root: Path) -> tuple[list[SourceCase], list[Problem]]:
    """Return the two frames named in Info.cfg, and problems."""
    patient = folder.name
    try:
        frames = frames_of((folder / INFO).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return [], [
            Problem(
                patient,
                "Info.cfg missing",
                f"{folder.relative_to(root).as_posix()} holds no readable Info.cfg, which names "
                "the frames at end-diastole and end-systole. Extract the whole archive.",
            )
        ]
    missing = [phase for phase in PHASES if phase not in frames]
    if missing:
        message = f"{(folder / INFO).relative_to(root).as_posix()} names no frame for {', '.join(missing)}."
        return [], [Problem(patient, "Info.cfg incomplete", message)]
    cases = []
    for phase in PHASES:
        name = f"{patient}_frame{frames[phase]:02d}"
        cases.append(
            SourceCase(
                case_id=name,
                image=folder / f"{name}.nii.gz",
                label=folder / f"{name}_gt.nii.gz",
                patient=patient,
                held_out=is_for_testing(folder.relative_to(root)),
            )
        )
    return cases, []


def is_for_testing(patient: PurePath) -> bool:
    """Whether the innermost part in the path of a patient's folder, relative to the source, is 'testing'.

    The name of the source itself does not count: users may call the download anything.
    """
    return next((part for part in reversed(patient.parts) if part in PARTS), "") == "testing"


def frames_of(info: str) -> dict[str, int]:
    """Return the number of each phase's frame from the text of an Info.cfg."""
    matches = re.findall(r"^\s*(ED|ES)\s*:\s*(\d+)\s*$", info, re.MULTILINE)
    return {phase: int(number) for phase, number in matches}
