"""The multi-organ CT of Synapse, as of the challenge Beyond the Cranial Vault, and `convert_synapse`."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

from nnunet_pancext.dataset_conversion.conversion import ConversionResult, convert_source
from nnunet_pancext.dataset_conversion.target import RawTarget
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import walk_visible_files
from nnunet_pancext.raw_cases.source import Problem, SourceCase, SourceDataset

IMAGE = re.compile(r"img(\d{4})\.nii\.gz")
LABEL = re.compile(r"label(\d{4})\.nii\.gz")
LAYOUT = "expected are Training/img/img0001.nii.gz and Training/label/label0001.nii.gz, as in RawData.zip"
TEST_FOLDERS = {"testing", "test"}
# As the challenge numbers them. Repositories that give eight organs number those in several other ways.
ORGANS = {
    "spleen": 1,
    "right kidney": 2,
    "left kidney": 3,
    "gallbladder": 4,
    "oesophagus": 5,
    "liver": 6,
    "stomach": 7,
    "aorta": 8,
    "inferior vena cava": 9,
    "portal and splenic vein": 10,
    "pancreas": 11,
    "right adrenal gland": 12,
    "left adrenal gland": 13,
}
EIGHT = ("spleen", "right kidney", "left kidney", "gallbladder", "liver", "stomach", "aorta", "pancreas")
CHOICES = {8: EIGHT, 13: tuple(ORGANS)}
PROVENANCE = {
    "licence": "registration at Synapse needed; see its terms of use",
    "reference": "Landman et al., Multi-Atlas Labeling Beyond the Cranial Vault, Synapse syn3193805, "
    "doi:10.7303/syn3193805",
    "description": "Abdominal CT with up to 13 organs",
}


def convert_synapse(
    source: Path,
    *,
    raw_root: Path,
    organs: int = 8,
    dataset_id: int = 13,
    name: str = "Synapse",
    **options: Any,
) -> ConversionResult:
    """Convert RawData, a folder or an archive, into an nnU-Net raw dataset under `raw_root`.

    `organs` is 8 (those of TransUNet's task, numbered 1 to 8 in the original order) or 13 (all, unchanged).
    The other options are those of `convert_source`.
    """
    if organs not in CHOICES:
        raise PancextError(f"--organs must be {' or '.join(map(str, CHOICES))}, got {organs}.")
    return convert_source(
        [source],
        read=partial(read_synapse, organs=organs),
        target=RawTarget(raw_root=raw_root, dataset_id=dataset_id, name=name),
        layout="synapse",
        labels=f"{organs} organs",
        **options,
    )


def read_synapse(folder: Path, *, organs: int) -> SourceDataset:
    """Return the cases below `folder`; PancextError for another layout."""
    images: dict[str, Path] = {}
    tests: dict[str, Path] = {}
    labels: dict[str, Path] = {}
    problems, ignored = [], []
    for path in sorted(walk_visible_files(folder)):
        # without the folder's own name, since users may call the download anything
        below = [part.lower() for part in path.relative_to(folder).parts[:-1]]
        if match := IMAGE.fullmatch(path.name):
            files = tests if TEST_FOLDERS.intersection(below) else images
        elif match := LABEL.fullmatch(path.name):
            files = labels
        else:
            ignored.append(path.relative_to(folder).as_posix())
            continue
        if match[1] in files:
            first = files[match[1]].relative_to(folder).as_posix()
            problems.append(
                Problem(
                    case_id(match[1]),
                    "duplicate id",
                    f"{path.relative_to(folder).as_posix()} has the name of {first}. Remove the wrong one.",
                )
            )
        files.setdefault(match[1], path)
    if not images or not labels:
        missing = "images" if not images else "labels"
        raise PancextError(f"no {missing} in {folder}: {LAYOUT}. Extract the whole archive.")
    for number in sorted(set(images) ^ set(labels)):
        image, label = f"img{number}.nii.gz", f"label{number}.nii.gz"
        missing_file, present = (image, label) if number in labels else (label, image)
        problems.append(
            Problem(
                case_id(number),
                "image missing" if number in labels else "label missing",
                f"{present} exists, {missing_file} does not. Extract the whole archive.",
            )
        )
    target_labels, mapping = target_labels_of(organs)
    return SourceDataset(
        title="Synapse multi-organ CT (BTCV)",
        root=folder,
        cases=tuple(
            SourceCase(case_id=case_id(number), image=images[number], label=labels[number], patient=number)
            for number in sorted(set(images) & set(labels))
        ),
        unlabelled=tuple(
            SourceCase(case_id=case_id(number), image=path, label=None, patient=number)
            for number, path in sorted(tests.items())
            if number not in images
        ),
        declared_labels={"background": 0, **ORGANS},
        target_labels=target_labels,
        label_mapping=mapping,
        layout_problems=tuple(problems),
        provenance=PROVENANCE,
        ignored_files=tuple(ignored),
    )


def target_labels_of(organs: int) -> tuple[dict[str, int], dict[int, int] | None]:
    """Return the target's labels, and the mapping from the original values, None for all thirteen."""
    if organs == len(ORGANS):
        return {"background": 0, **ORGANS}, None
    chosen = CHOICES[organs]
    target = {"background": 0, **{name: value for value, name in enumerate(chosen, start=1)}}
    return target, {0: 0, **{value: target.get(name, 0) for name, value in ORGANS.items()}}


def case_id(number: str) -> str:
    """Return the case of the patient."""
    return f"synapse_{number}"
