"""The multi-organ CT of Synapse, as of the challenge Beyond the Cranial Vault, and `convert_synapse`."""

import re
from functools import partial
from pathlib import Path
from typing import Any

from nnunet_pancext.dataset_conversion.conversion import ConversionResult, convert_source
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import walk_visible_files
from nnunet_pancext.raw_cases.source import Problem, SourceCase, SourceDataset, name_of

FILE = re.compile(r"(img|label)(\d{4})\.nii(?:\.gz)?")
CASE = "synapse_{}"
LAYOUT = "expected are Training/img/img0001.nii.gz and Training/label/label0001.nii.gz, as in RawData.zip"
TEST_FOLDERS = {"testing", "test"}
# In the challenge's order, from 1. Repositories that give eight organs number those in several other ways.
ORGANS = (
    *("spleen", "right kidney", "left kidney", "gallbladder", "oesophagus", "liver", "stomach", "aorta"),
    *("inferior vena cava", "portal and splenic vein", "pancreas"),
    *("right adrenal gland", "left adrenal gland"),
)
EIGHT = ("spleen", "right kidney", "left kidney", "gallbladder", "liver", "stomach", "aorta", "pancreas")
PROVENANCE = {
    "licence": "registration at Synapse needed; see its terms of use",
    "reference": "Landman et al., Multi-Atlas Labeling Beyond the Cranial Vault, Synapse syn3193805, "
    "doi:10.7303/syn3193805",
    "description": "Abdominal CT with up to 13 organs",
}


def convert_synapse(
    source: Path, *, organs: int = 8, dataset_id: int = 13, name: str = "Synapse", **options: Any
) -> ConversionResult:
    """Convert RawData, a folder or an archive, into an nnU-Net raw dataset under `raw_root`.

    `organs` is 8 (those of TransUNet's task, numbered 1 to 8 in the original order) or 13 (all, unchanged).
    `raw_root` and the other options are those of `Conversion`.
    """
    if organs not in (8, 13):
        raise PancextError(f"--organs must be 8 or 13, got {organs}.")
    read, labels = partial(read_synapse, organs=organs), f"{organs} organs"
    return convert_source(
        [source], read=read, layout="synapse", labels=labels, dataset_id=dataset_id, name=name, **options
    )


def read_synapse(folder: Path, *, organs: int) -> SourceDataset:
    """Return the cases below `folder`; PancextError for another layout."""
    images: dict[str, Path] = {}
    tests: dict[str, Path] = {}
    labels: dict[str, Path] = {}
    problems, ignored = [], []
    for path in sorted(walk_visible_files(folder)):
        match = FILE.fullmatch(path.name)
        if not match:
            ignored.append(name_of(path, folder))
            continue
        role, number = match.groups()
        # without the folder's own name, since users may call the download anything
        below = [part.lower() for part in path.relative_to(folder).parts[:-1]]
        files = labels if role == "label" else tests if TEST_FOLDERS.intersection(below) else images
        first = files.setdefault(number, path)
        if first != path:
            message = (
                f"{name_of(path, folder)} and {name_of(first, folder)} are of one case. Remove the wrong one."
            )
            problems.append(Problem(CASE.format(number), "duplicate id", message))
    if not images or not labels:
        missing = "images" if not images else "labels"
        raise PancextError(f"no {missing} in {folder}: {LAYOUT}. Extract the whole archive.")
    for number in sorted(images.keys() ^ labels.keys()):
        present, missing = ("label", "img") if number in labels else ("img", "label")
        message = (
            f"{present}{number}.nii.gz exists, {missing}{number}.nii.gz does not. Extract the whole archive."
        )
        kind = "image missing" if number in labels else "label missing"
        problems.append(Problem(CASE.format(number), kind, message))

    def case(number: str, image: Path, label: Path | None = None) -> SourceCase:
        return SourceCase(case_id=CASE.format(number), image=image, label=label, patient=number)

    declared, eight = (
        {name: value for value, name in enumerate(("background", *names))} for names in (ORGANS, EIGHT)
    )
    target = declared if organs == 13 else eight
    return SourceDataset(
        title="Synapse multi-organ CT (BTCV)",
        root=folder,
        cases=[case(n, images[n], labels[n]) for n in sorted(images.keys() & labels.keys())],
        unlabelled=[case(n, tests[n]) for n in sorted(tests.keys() - images.keys())],
        declared_labels=declared,
        target_labels=target,
        label_mapping=None if organs == 13 else {n: target.get(name, 0) for name, n in declared.items()},
        layout_problems=problems,
        provenance=PROVENANCE,
        ignored_files=ignored,
    )
