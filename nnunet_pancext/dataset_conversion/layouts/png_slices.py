"""Slices exported as greyscale images, and `convert_slices`."""

import re
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from nnunet_pancext.dataset_conversion.conversion import ConversionResult, convert_source
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import walk_visible_files
from nnunet_pancext.io.unreadable import UnreadableImage
from nnunet_pancext.raw_cases.image_scan import PNG, scan_image
from nnunet_pancext.raw_cases.source import Problem, SourceCase, SourceDataset, name_of

# pancreas_001_45, pancreas_001-slice045, patient7_z3: all but the last number is the patient.
PATIENT_REGEX = r"(.+?)[_-](?:slice|s|z)?[_-]?[0-9]+$"
LAYOUT = "expected are a folder image/ and a folder label/ with .png files of the same names"
WHITE = 255


def convert_slices(
    source: Path,
    *,
    classes: Sequence[str] = ("pancreas",),
    patient_regex: str = PATIENT_REGEX,
    dataset_id: int = 101,
    name: str = "Slices",
    **options: Any,
) -> ConversionResult:
    """Convert a folder or archive of .png slices and their masks into a 2D nnU-Net raw dataset.

    `classes` names the values 1, 2, … of the masks; with one class masks may be 0 and 255 as well.
    The first group of `patient_regex` is the patient in a file's name without its ending: all slices of a
    patient stay on one side of every split. `raw_root` and the other options are those of `Conversion`.
    """
    if len(set(classes)) != len(classes) or "background" in classes or not all(classes):
        raise PancextError(f"--classes must be different names other than background, got {list(classes)}.")
    try:
        compiled = re.compile(patient_regex)
    except re.error as error:
        raise PancextError(
            f"--patient-regex {patient_regex!r} is not a regular expression: {error}."
        ) from error
    read = partial(read_slices, classes=classes, patient_regex=compiled)
    labels = f"{', '.join(classes)}; patients by {patient_regex}"
    return convert_source(
        [source], read=read, layout="slices", labels=labels, dataset_id=dataset_id, name=name, **options
    )


def read_slices(folder: Path, *, classes: Sequence[str], patient_regex: re.Pattern[str]) -> SourceDataset:
    """Return the slices below `folder`; PancextError for another layout."""
    found: dict[str, dict[str, Path]] = {"image": {}, "label": {}}
    ignored, problems = [], []
    for path in sorted(walk_visible_files(folder)):
        part = path.parent.name.lower()[: len("image")]
        if path.suffix.lower() != PNG or part not in found:
            ignored.append(name_of(path, folder))
            continue
        first = found[part].setdefault(path.stem, path)
        if first != path:
            names = f"{name_of(first, folder)} and {name_of(path, folder)}"
            message = f"{names} have the same name. Convert one of the folders at a time."
            problems.append(Problem(path.stem, "duplicate id", message))
    for part, files in found.items():
        if not files:
            raise PancextError(f"no folder {part}/ with .png files in {folder}: {LAYOUT}.")
    images, labels = found.values()
    for stem in sorted(images.keys() ^ labels.keys()):
        present, missing = ("label", "image") if stem in labels else ("image", "label")
        message = f"{present} {stem}{PNG} has no {missing} of the same name. Add it, or remove the {present}."
        problems.append(Problem(stem, f"{missing} missing", message))
    cases = []
    for stem in sorted(images.keys() & labels.keys()):
        match = patient_regex.match(stem)
        if match is None or not match.groups() or not match[1]:
            raise PancextError(
                f"--patient-regex finds no patient in {stem}{PNG}. Give one with the patient as its first "
                "group, so that no patient's slices get into training and test."
            )
        cases.append(SourceCase(case_id=stem, image=images[stem], label=labels[stem], patient=match[1]))
    white = len(classes) == 1 and masks_are_white(labels.values())
    target = {name: value for value, name in enumerate(("background", *classes))}
    return SourceDataset(
        title="slices",
        root=folder,
        cases=cases,
        declared_labels={"background": 0, classes[0]: WHITE} if white else target,
        target_labels=target,
        label_mapping={0: 0, WHITE: 1} if white else None,
        layout_problems=problems,
        channel_names={"0": "grey"},
        file_ending=PNG,
        ignored_files=ignored,
    )


def masks_are_white(paths: Iterable[Path]) -> bool:
    """Whether the foreground of the first mask that has any is white."""
    for path in paths:
        try:
            values = scan_image(path, collect_values=True).values
        except UnreadableImage:
            continue
        if any(values):
            return max(values) == WHITE
    return False
