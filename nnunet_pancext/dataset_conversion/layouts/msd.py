"""The Medical Segmentation Decathlon's Task07_Pancreas, and `convert_msd`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
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
from nnunet_pancext.errors import PancextError
from nnunet_pancext.raw_cases.source import Problem, SourceCase, SourceDataset

ENDING = ".nii.gz"
LABEL_CHOICES = ("pancreas+tumour", "pancreas")


def convert_msd(
    source: Path,
    *,
    labels: str = "pancreas+tumour",
    dataset_id: int = 7,
    name: str = "Pancreas",
    **options: Any,
) -> ConversionResult:
    """Convert Task07_Pancreas, a folder or an archive, into an nnU-Net raw dataset under `raw_root`.

    `labels` is 'pancreas+tumour' (as declared by the source) or 'pancreas' (all foreground merged into 1).
    `raw_root` and the other options are those of `Conversion`.
    """
    if labels not in LABEL_CHOICES:
        raise PancextError(f"--labels must be one of {', '.join(LABEL_CHOICES)}, got {labels!r}.")
    read = partial(read_msd, labels=labels)
    return convert_source(
        [source], read=read, layout="msd", labels=labels, dataset_id=dataset_id, name=name, **options
    )


def read_msd(folder: Path, *, labels: str) -> SourceDataset:
    """Return the cases in the task's folder or its parent; PancextError for another layout."""
    root = find_task_folder(folder)
    declared = read_msd_json(root)
    values = parse_labels(declared.get("labels"))
    target, mapping = values, None
    if labels == "pancreas":
        target = {"background": 0, "pancreas": 1}
        mapping = {value: min(value, 1) for value in values.values()} if len(values) > 2 else None
    for name in ("imagesTr", "labelsTr"):
        if not (root / name).is_dir():
            raise PancextError(f"no {name}/ in {root}: {LAYOUT}. Extract the whole archive.")
    training, labels_listed = listed_training(declared)
    testing = [entry_name(entry, key="image") for entry in entries(declared, "test")]
    images, image_problems = volumes(root / "imagesTr")
    label_files, label_problems = volumes(root / "labelsTr")
    tests, test_problems = volumes(root / "imagesTs")
    names = images | label_files
    if not names:
        raise PancextError(f"no cases in {root}: imagesTr/ holds no *{ENDING}. Extract the whole archive.")
    problems = [*image_problems, *label_problems, *compare_with_list(names, training, folder="imagesTr")]
    for image, label in labels_listed.items():
        if image in names:
            message = f"dataset.json pairs imagesTr/{image} with labelsTr/{label}. Give both the same name."
            problems.append(Problem(case_id(image), "label of another case", message))
    test_problems += compare_with_list(tests, testing, folder="imagesTs")
    for name in sorted(tests & names):
        message = f"imagesTs/{name} has the name of a training case. Rename or remove one of the two."
        test_problems.append(Problem(case_id(name), "duplicate id", message))
    # A problem of a test image must not exclude the training case of the same name.
    training_ids = {case_id(name) for name in names}
    problems += [
        replace(p, case_id=f"imagesTs/{p.case_id}") if p.case_id in training_ids else p for p in test_problems
    ]
    hidden, ignored = other_files(root)
    return SourceDataset(
        title="MSD Task07_Pancreas",
        root=root,
        cases=[
            SourceCase(case_id=case_id(n), image=root / "imagesTr" / n, label=root / "labelsTr" / n)
            for n in sorted(names)
        ],
        unlabelled=[
            SourceCase(case_id=case_id(n), image=root / "imagesTs" / n, label=None)
            for n in sorted(tests - names)
        ],
        declared_labels=values,
        target_labels=target,
        label_mapping=mapping,
        layout_problems=problems,
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


def volumes(folder: Path) -> tuple[set[str], list[Problem]]:
    """Return the names of the .nii.gz files in `folder`, and a problem for every uncompressed .nii."""
    files = sorted(folder.glob("[!.]*")) if folder.is_dir() else []
    names = {path.name for path in files if path.name.endswith(ENDING)}
    problems = []
    for path in files:
        if path.suffix == ".nii":
            twin = f"{path.name}.gz"
            where = f"{folder.name}/{path.name}"
            if twin in names:
                kind = "duplicate id"
                message = f"{where} exists beside {folder.name}/{twin}. Remove the wrong one."
            else:
                kind, message = "not compressed", f"{where} is not a {ENDING}. Compress it: gzip {where}"
            problems.append(Problem(case_id(twin), kind, message))
    return names, problems


def compare_with_list(names: set[str], listed: Sequence[str], *, folder: str) -> Iterator[Problem]:
    """Yield where dataset.json's list and the disk disagree; the disk decides what is converted."""
    counts = Counter(name for name in listed if not name.startswith("."))
    for name in sorted(counts.keys() | names):
        where = f"{folder}/{name}"
        if name not in names:
            message = f"dataset.json lists {where}, which does not exist. Extract the whole archive."
            yield Problem(case_id(name), "listed but not on disk", message)
        elif not counts[name]:
            message = f"{where} is not in dataset.json. List it, or remove it if it does not belong."
            yield Problem(case_id(name), "on disk but not listed", message, leaves_out=False)
        elif counts[name] > 1:
            message = f"dataset.json lists {where} {counts[name]} times. Correct the list."
            yield Problem(case_id(name), "duplicate id", message, leaves_out=False)


def case_id(name: str) -> str:
    """Return a file's name without its ending."""
    return name.removesuffix(ENDING)


def other_files(root: Path) -> tuple[int, list[str]]:
    """Return the number of hidden files (`._*` and the like) in the dataset, and the unused files."""
    folders = (root, *(root / name for name in ("imagesTr", "labelsTr", "imagesTs")))
    files = [p for folder in folders if folder.is_dir() for p in folder.iterdir() if not p.is_dir()]
    visible = [path for path in files if not path.name.startswith(".")]
    ignored = [
        path.relative_to(root).as_posix()
        for path in visible
        if path != root / "dataset.json" and (path.parent == root or not path.name.endswith(ENDING))
    ]
    return len(files) - len(visible), sorted(ignored)
