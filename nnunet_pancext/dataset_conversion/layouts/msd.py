"""The Medical Segmentation Decathlon's Task07_Pancreas, and `convert_msd`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from nnunet_pancext.dataset_conversion.conversion import ConversionResult, convert_source
from nnunet_pancext.dataset_conversion.layouts.msd_declaration import (
    LAYOUT,
    entries,
    entry_name,
    listed_training,
    parse_labels,
    provenance,
    read_msd_json,
)
from nnunet_pancext.dataset_conversion.target import RawTarget
from nnunet_pancext.errors import PancextError
from nnunet_pancext.raw_cases.source import Problem, SourceCase, SourceDataset

ENDING = ".nii.gz"
LABEL_CHOICES = ("pancreas+tumour", "pancreas")


def convert_msd(
    source: Path,
    *,
    raw_root: Path,
    dataset_id: int = 7,
    name: str = "Pancreas",
    labels: str = "pancreas+tumour",
    **options: Any,
) -> ConversionResult:
    """Convert Task07_Pancreas, a folder or an archive, into an nnU-Net raw dataset under `raw_root`.

    Args:
        labels: 'pancreas+tumour' (as declared by the source) or 'pancreas' (all foreground merged into 1).
        options: as for `convert_source`.
    """
    if labels not in LABEL_CHOICES:
        raise PancextError(f"--labels must be one of {', '.join(LABEL_CHOICES)}, got {labels!r}.")
    return convert_source(
        [source],
        read=partial(read_msd, labels=labels),
        target=RawTarget(raw_root=raw_root, dataset_id=dataset_id, name=name),
        layout="msd",
        labels=labels,
        **options,
    )


def read_msd(folder: Path, *, labels: str) -> SourceDataset:
    """Return the cases in the task's folder or its parent; PancextError for another layout."""
    root = find_task_folder(folder)
    declared = read_msd_json(root)
    values = parse_labels(declared.get("labels"))
    target_labels, mapping = target_labels_of(values, labels=labels)
    for name in ("imagesTr", "labelsTr"):
        if not (root / name).is_dir():
            raise PancextError(f"no {name}/ in {root}: {LAYOUT}. Extract the whole archive.")
    training, labels_listed = listed_training(declared)
    testing = [entry_name(entry, key="image") for entry in entries(declared, "test")]
    cases, case_problems = pair_training(root, listed=training, labels_listed=labels_listed)
    unlabelled, test_problems = find_unlabelled(root, listed=testing, training_ids={c.case_id for c in cases})
    if not cases:
        raise PancextError(f"no cases in {root}: imagesTr/ holds no *{ENDING}. Extract the whole archive.")
    hidden, ignored = other_files(root)
    return SourceDataset(
        title="MSD Task07_Pancreas",
        root=root,
        cases=cases,
        unlabelled=unlabelled,
        declared_labels=values,
        target_labels=target_labels,
        label_mapping=mapping,
        layout_problems=(*case_problems, *test_problems),
        provenance=provenance(declared),
        hidden_files=hidden,
        ignored_files=ignored,
    )


def find_task_folder(folder: Path) -> Path:
    """Return `folder` or its only sub-folder that looks like an MSD task."""

    def looks_like_a_task(path: Path) -> bool:
        return (path / "dataset.json").is_file() or (path / "imagesTr").is_dir()

    if looks_like_a_task(folder):
        return folder
    tasks = [p for p in sorted(folder.iterdir()) if p.is_dir() and p.name[0] != "." and looks_like_a_task(p)]
    if not tasks:
        raise PancextError(f"no MSD task in {folder}: {LAYOUT}. Give the Task07_Pancreas folder.")
    if len(tasks) > 1:
        names = ", ".join(path.name for path in tasks)
        raise PancextError(f"{len(tasks)} tasks in {folder}: {names}. Give the folder of the one to convert.")
    return tasks[0]


def target_labels_of(
    declared: dict[str, int], *, labels: str
) -> tuple[dict[str, int], dict[int, int] | None]:
    """Return the target's labels and the mapping to them, None where no value changes."""
    if labels == "pancreas+tumour":
        return dict(declared), None
    mapping = {value: min(value, 1) for value in declared.values()}
    unchanged = all(old == new for old, new in mapping.items())
    return {"background": 0, "pancreas": 1}, None if unchanged else mapping


def pair_training(
    root: Path, *, listed: list[str], labels_listed: dict[str, str]
) -> tuple[tuple[SourceCase, ...], list[Problem]]:
    """Pair imagesTr with labelsTr by name and compare with the list; cases may lack a file."""
    images, image_problems = volumes(root / "imagesTr")
    labels, label_problems = volumes(root / "labelsTr")
    found = images | labels
    cases = tuple(
        SourceCase(case_id=case_id(n), image=root / "imagesTr" / n, label=root / "labelsTr" / n)
        for n in sorted(found)
    )
    problems = [*image_problems, *label_problems, *compare_with_list(found, listed, folder="imagesTr")]
    problems += [
        Problem(
            case_id(image),
            "label of another case",
            f"dataset.json pairs imagesTr/{image} with labelsTr/{label}. Give both the same name.",
        )
        for image, label in labels_listed.items()
        if image in found
    ]
    return cases, problems


def find_unlabelled(
    root: Path, *, listed: list[str], training_ids: set[str]
) -> tuple[tuple[SourceCase, ...], list[Problem]]:
    """Return the images of imagesTs, which may be absent, and problems."""
    folder = root / "imagesTs"
    found, problems = volumes(folder) if folder.is_dir() else (set(), [])
    cases = tuple(
        SourceCase(case_id=case_id(n), image=folder / n, label=None)
        for n in sorted(found)
        if case_id(n) not in training_ids
    )
    problems += compare_with_list(found, listed, folder="imagesTs")
    problems += [
        Problem(
            case_id(n),
            "duplicate id",
            f"imagesTs/{n} has the name of a training case. Rename or remove one of the two.",
        )
        for n in sorted(found)
        if case_id(n) in training_ids
    ]
    # A problem of a test image must not exclude the training case of the same name.
    problems = [
        replace(p, case_id=f"imagesTs/{p.case_id}") if p.case_id in training_ids else p for p in problems
    ]
    return cases, problems


def volumes(folder: Path) -> tuple[set[str], list[Problem]]:
    """Return the names of the .nii.gz files in `folder`, and a problem for every uncompressed .nii."""
    names = {p.name for p in folder.iterdir() if p.name.endswith(ENDING) and not p.name.startswith(".")}
    problems = []
    for path in sorted(folder.glob("[!.]*.nii")):
        twin = f"{path.name}.gz"
        where = f"{folder.name}/{path.name}"
        problems.append(
            Problem(
                case_id(twin),
                "duplicate id" if twin in names else "not compressed",
                f"{where} exists beside {folder.name}/{twin}. Remove the wrong one."
                if twin in names
                else f"{where} is not a {ENDING}. Compress it: gzip {where}",
            )
        )
    return names, problems


def compare_with_list(found: set[str], listed: list[str], *, folder: str) -> list[Problem]:
    """Return where dataset.json's list and the disk disagree; the disk decides what is converted."""
    listed = [name for name in listed if not name.startswith(".")]
    problems = [
        Problem(
            case_id(name),
            "listed but not on disk",
            f"dataset.json lists {folder}/{name}, which does not exist. Extract the whole archive.",
        )
        for name in sorted(set(listed) - found)
    ]
    problems += [
        Problem(
            case_id(name),
            "duplicate id",
            f"dataset.json lists {folder}/{name} {count} times. Correct the list.",
            leaves_out=False,
        )
        for name, count in sorted(Counter(listed).items())
        if count > 1 and name in found
    ]
    problems += [
        Problem(
            case_id(name),
            "on disk but not listed",
            f"{folder}/{name} is not in dataset.json. List it, or remove it if it does not belong.",
            leaves_out=False,
        )
        for name in sorted(found - set(listed))
    ]
    return problems


def case_id(name: str) -> str:
    """Return a file's name without its ending."""
    return name.removesuffix(ENDING)


def other_files(root: Path) -> tuple[int, tuple[str, ...]]:
    """Return the number of hidden files (`._*` and the like) in the dataset, and the unused files."""
    folders: Iterable[Path] = (root, *(root / name for name in ("imagesTr", "labelsTr", "imagesTs")))
    files = [p for folder in folders if folder.is_dir() for p in folder.iterdir() if not p.is_dir()]
    hidden = [path for path in files if path.name.startswith(".")]
    ignored = sorted(
        path.relative_to(root).as_posix()
        for path in files
        if path not in hidden
        and path != root / "dataset.json"
        and (path.parent == root or not path.name.endswith(ENDING))
    )
    return len(hidden), tuple(ignored)
