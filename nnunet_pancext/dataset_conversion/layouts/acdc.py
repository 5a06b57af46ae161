"""The Automated Cardiac Diagnosis Challenge: two frames of a heart in MRI, and `convert_acdc`."""

from __future__ import annotations

import re
from pathlib import Path, PurePath

from nnunet_pancext.dataset_conversion.conversion import ConversionResult, convert_source
from nnunet_pancext.dataset_conversion.raw_dataset import RawTarget
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
    source: Path,
    *,
    raw_root: Path,
    dataset_id: int = 27,
    name: str = "ACDC",
    split: str = "nnunet",
    jobs: int | None = None,
    check_orientation: bool = False,
    strict: bool = False,
    overwrite: bool = False,
    copy: bool = False,
    show_progress: bool = True,
) -> ConversionResult:
    """Convert ACDC's database, a folder or an archive, into an nnU-Net raw dataset under `raw_root`.

    A patient's two frames are two cases, and never on two sides of a split: the folds of 'nnunet' are made
    by patient and written as a file, because nnU-Net's own would be made by case. `split` is 'nnunet'
    (the folder `testing` is held out), counts of patients 'A/B', or the name of a published one.
    `check_orientation` lays each label onto its image as the image's intensities tell, and leaves out a case
    where they do not. With `copy` no file is hard-linked to the source. Raises PancextError for anything the
    user can put right; nothing is then left at the target.
    """
    return convert_source(
        [source],
        read=read_acdc,
        target=RawTarget(raw_root=raw_root, dataset_id=dataset_id, name=name),
        layout="acdc",
        labels="heart",
        split=split,
        jobs=jobs,
        strict=strict,
        overwrite=overwrite,
        copy=copy,
        show_progress=show_progress,
        check_orientation=check_orientation,
    )


def read_acdc(folder: Path) -> SourceDataset:
    """Return the frames found below `folder`; PancextError for another layout."""
    folders: dict[str, list[Path]] = {}
    ignored = []
    for path in sorted(walk_visible_files(folder)):
        if PATIENT.fullmatch(path.parent.name):
            known = folders.setdefault(path.parent.name, [])
            if path.parent not in known:
                known.append(path.parent)
            if path.name != INFO and not FRAME.fullmatch(path.name):
                ignored.append(path.relative_to(folder).as_posix())
        else:
            ignored.append(path.relative_to(folder).as_posix())
    if not folders:
        raise PancextError(f"no patients in {folder}: {LAYOUT}. Give the folder that holds them.")
    cases, problems = [], []
    for patient, found in sorted(folders.items()):
        if len(found) > 1:
            listed = " and ".join(path.relative_to(folder).as_posix() for path in found)
            message = f"{listed} are folders of one patient. Remove the one that is wrong."
            problems.append(Problem(case_id=patient, kind="duplicate id", message=message))
            continue
        of_patient, of_problems = read_patient(found[0], root=folder)
        cases += of_patient
        problems += of_problems
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
    """Return the frames that Info.cfg names, and what is wrong with them."""
    patient = folder.name
    try:
        frames = frames_of((folder / INFO).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return [], [
            Problem(
                case_id=patient,
                kind="Info.cfg missing",
                message=f"{folder.relative_to(root).as_posix()} holds no readable Info.cfg, so which frames "
                "are end-diastole and end-systole is unknown. Extract the whole archive.",
            )
        ]
    missing = [phase for phase in PHASES if phase not in frames]
    if missing:
        message = f"{(folder / INFO).relative_to(root).as_posix()} names no frame for {', '.join(missing)}."
        return [], [Problem(case_id=patient, kind="Info.cfg incomplete", message=message)]
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
    """Say whether a patient's folder, relative to the source, is of the test set; the innermost part tells.

    The name of the source itself tells nothing: it is whatever the user called the download.
    """
    return next((part for part in reversed(patient.parts) if part in PARTS), "") == "testing"


def frames_of(info: str) -> dict[str, int]:
    """Return the number of each phase's frame from the text of an Info.cfg."""
    found = re.findall(r"^\s*(ED|ES)\s*:\s*(\d+)\s*$", info, re.MULTILINE)
    return {phase: int(number) for phase, number in found}
