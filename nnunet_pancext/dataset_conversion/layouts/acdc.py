"""The Automated Cardiac Diagnosis Challenge: two frames of a heart in MRI, and `convert_acdc`."""

import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from nnunet_pancext.dataset_conversion.conversion import ConversionResult, convert_source
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_text, walk_visible_files
from nnunet_pancext.raw_cases.source import Problem, SourceCase, SourceDataset, name_of, volume_path

PATIENT = re.compile(r"patient\d{3}")
FRAME = re.compile(r"(patient\d{3}_frame\d{2}(?:_gt)?)\.nii(?:\.gz)?")
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
    source: Path, *, dataset_id: int = 27, name: str = "ACDC", **options: Any
) -> ConversionResult:
    """Convert ACDC's database, a folder or an archive, into an nnU-Net raw dataset under `raw_root`.

    A patient's two frames are two cases, always on one side of a split: the folds of 'nnunet' are made by
    patient and written to a file, because nnU-Net's own would be made by case. `split` is 'nnunet' (the
    folder `testing` is the test set), counts of patients 'A/B', or the name of a published one. `raw_root`
    and the other options are those of `Conversion`.
    """
    return convert_source(
        [source], read=read_acdc, layout="acdc", labels="heart", dataset_id=dataset_id, name=name, **options
    )


def read_acdc(folder: Path) -> SourceDataset:
    """Return the frames below `folder`; PancextError for another layout."""
    folders: dict[str, set[Path]] = defaultdict(set)
    ignored = []
    for path in sorted(walk_visible_files(folder)):
        is_of_patient = PATIENT.fullmatch(path.parent.name)
        if is_of_patient:
            folders[path.parent.name].add(path.parent)
        if not is_of_patient or (path.name != INFO and not FRAME.fullmatch(path.name)):
            ignored.append(name_of(path, folder))
    if not folders:
        raise PancextError(f"no patients in {folder}: {LAYOUT}. Give the folder that holds them.")
    patients = [read_patient(*sorted(same), root=folder) for _, same in sorted(folders.items())]
    return SourceDataset(
        title="ACDC",
        root=folder,
        cases=[case for frames in patients if isinstance(frames, list) for case in frames],
        declared_labels=LABELS,
        target_labels=LABELS,
        layout_problems=[problem for problem in patients if isinstance(problem, Problem)],
        channel_names={"0": "cineMRI"},
        provenance=PROVENANCE,
        ignored_files=ignored,
    )


def read_patient(folder: Path, *others: Path, root: Path) -> list[SourceCase] | Problem:
    """Return the two frames named in Info.cfg, or why the patient is left out."""
    patient = folder.name
    if others:
        names = " and ".join(name_of(path, root) for path in (folder, *others))
        message = f"{names} are folders of one patient. Remove the one that is wrong."
        return Problem(patient, "duplicate id", message)
    try:
        info = read_text(folder / INFO)
    except OSError:
        message = (
            f"{name_of(folder, root)} holds no readable Info.cfg, which names "
            "the frames at end-diastole and end-systole. Extract the whole archive."
        )
        return Problem(patient, "Info.cfg missing", message)
    frames = {phase: int(n) for phase, n in re.findall(r"^\s*(ED|ES)\s*:\s*(\d+)\s*$", info, re.MULTILINE)}
    files = Counter(match[1] for path in sorted(folder.iterdir()) if (match := FRAME.fullmatch(path.name)))
    if doubled := [name for name, count in files.items() if count > 1]:
        message = f"{name_of(folder, root)} holds {doubled[0]}.nii and .nii.gz. Remove the wrong one."
        return Problem(patient, "duplicate id", message)
    if missing := [phase for phase in PHASES if phase not in frames]:
        message = f"{name_of(folder / INFO, root)} names no frame for {', '.join(missing)}."
        return Problem(patient, "Info.cfg incomplete", message)
    # The innermost part of the path counts, but not the name of the source: users may call it anything.
    parts = [part for part in folder.relative_to(root).parts if part in PARTS]
    return [
        SourceCase(
            case_id=name,
            image=volume_path(folder, name),
            label=volume_path(folder, f"{name}_gt"),
            patient=patient,
            held_out=parts[-1:] == ["testing"],
        )
        for name in (f"{patient}_frame{frames[phase]:02d}" for phase in PHASES)
    ]
