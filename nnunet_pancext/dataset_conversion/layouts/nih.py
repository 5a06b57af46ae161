"""NIH Pancreas-CT of The Cancer Imaging Archive, and `convert_nih`."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from nnunet_pancext.dataset_conversion.conversion import ConversionResult, convert_source
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import walk_visible_files
from nnunet_pancext.raw_cases.source import Problem, SourceCase, SourceDataset, name_of

PATIENT = re.compile(r"PANCREAS_(\d{4})", re.IGNORECASE)
LABEL = re.compile(r"label(\d{4})\.nii(?:\.gz)?", re.IGNORECASE)
CASE = "PANCREAS_{}"
LAYOUT = "expected are folders PANCREAS_0001, PANCREAS_0002, … with DICOM files below them"
WITHOUT_IMAGES = ("0025", "0070")  # labels were published for them, images were withdrawn
LABELS = {"background": 0, "pancreas": 1}
PROVENANCE = {
    "licence": "CC BY 3.0",
    "reference": "Roth et al., Data From Pancreas-CT, The Cancer Imaging Archive, 2016, "
    "doi:10.7937/K9/TCIA.2016.tNB1kqBU",
    "description": "NIH Pancreas-CT: portal venous CT of 82 subjects with the pancreas contoured",
}


def convert_nih(
    images: Path, labels: Path, *, dataset_id: int = 82, name: str = "NIHPancreas", **options: Any
) -> ConversionResult:
    """Convert Pancreas-CT, DICOM series and their NIfTI labels, into an nnU-Net raw dataset under `raw_root`.

    `images` holds the series of each patient, in any of the layouts published by The Cancer Imaging Archive;
    `labels` the files label0001.nii.gz and so on. Each is a folder or an archive. `raw_root` and the other
    options are those of `Conversion`; `copy` has no effect, since all files are new.

    Slices are ordered by position, and each label is reoriented to its image by the image's intensities;
    cases where these are unclear are left out.
    """
    return convert_source(
        [images, labels],
        read=read_nih,
        layout="nih",
        labels="pancreas",
        dataset_id=dataset_id,
        name=name,
        **options,
    )


def read_nih(images: Path, labels: Path) -> SourceDataset:
    """Return the patients below the two folders; PancextError for another layout."""
    series, ignored = find_series(images)
    label_files, problems = find_labels(labels)
    if not series:
        raise PancextError(f"no patients in {images}: {LAYOUT}. Give the folder that holds them.")
    if not label_files:
        raise PancextError(
            f"no labels in {labels}: expected are label0001.nii.gz, label0002.nii.gz, … "
            "Give the folder TCIA_pancreas_labels-02-05-2017, or its archive."
        )
    for number in sorted(label_files.keys() ^ series.keys()):
        case = CASE.format(number)
        if number in series:
            message = f"there is no label{number}.nii.gz. Download the labels again, or remove the images."
            problems.append(Problem(case, "label missing", message))
        else:
            withdrawn = number in WITHOUT_IMAGES
            remedy = "They were withdrawn by the archive." if withdrawn else "Download them again."
            message = f"label{number}.nii.gz has no folder of images {case}. {remedy}"
            problems.append(Problem(case, "images missing", message))
    return SourceDataset(
        title="NIH Pancreas-CT",
        root=images,
        cases=[
            SourceCase(
                case_id=CASE.format(number),
                image=series[number][0],
                label=label_files[number],
                patient=number,
                series=tuple(series[number][1]),
            )
            for number in sorted(series.keys() & label_files.keys())
        ],
        declared_labels=LABELS,
        target_labels=LABELS,
        layout_problems=problems,
        provenance=PROVENANCE,
        ignored_files=ignored,
    )


def find_series(root: Path) -> tuple[dict[str, tuple[Path, list[Path]]], list[str]]:
    """Return each patient's folder and all files below it, and the names of the files of no patient.

    Which files are slices, their content decides later.
    """
    patients: dict[str, tuple[Path, list[Path]]] = {}
    ignored = []
    for path in sorted(walk_visible_files(root)):
        if LABEL.fullmatch(path.name):
            continue
        # The root itself may be one patient's folder.
        above = (folder for folder in reversed(path.parents) if folder.is_relative_to(root))
        for folder in above:
            if match := PATIENT.fullmatch(folder.name):
                patients.setdefault(match[1], (folder, []))[1].append(path)
                break
        else:
            ignored.append(name_of(path, root))
    return patients, ignored


def find_labels(root: Path) -> tuple[dict[str, Path], list[Problem]]:
    """Return each patient's label, and a problem for each duplicate."""
    labels: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(walk_visible_files(root)):
        if match := LABEL.fullmatch(path.name):
            labels[match[1]].append(path)
    problems = []
    for number, paths in labels.items():
        if len(paths) > 1:
            names = " and ".join(name_of(path, root) for path in paths)
            message = f"{names} are labels of one patient. Remove the wrong one."
            problems.append(Problem(CASE.format(number), "duplicate id", message))
    return {number: paths[0] for number, paths in labels.items()}, problems
