"""The Medical Segmentation Decathlon's Task07_Pancreas, and `convert_msd`."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from nnunet_pancext.dataset_conversion.conversion import ConversionResult, convert_source
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_json
from nnunet_pancext.raw_cases.source import COMPRESSED, PLAIN, Problem, SourceCase, SourceDataset, volume_path

LAYOUT = "expected are dataset.json, imagesTr/ and labelsTr/, as in Task07_Pancreas.tar"
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
    training, testing = listed_pairs(declared, "training"), listed_pairs(declared, "test")
    images, image_problems = volumes(root / "imagesTr")
    label_files, label_problems = volumes(root / "labelsTr")
    tests, test_problems = volumes(root / "imagesTs")
    names = images | label_files
    if not names:
        raise PancextError(
            f"no cases in {root}: imagesTr/ holds no *{COMPRESSED} or *{PLAIN}. Extract the whole archive."
        )
    problems = [*image_problems, *label_problems, *compare_with_list(names, training, folder="imagesTr")]
    for image, label in dict.fromkeys(training):
        if image in names and label != image:
            message = f"dataset.json pairs imagesTr/{image} with labelsTr/{label}. Give both the same name."
            problems.append(Problem(case_id(image), "label of another case", message))
    test_problems += compare_with_list(tests, testing, folder="imagesTs")
    for name in sorted(tests & names):
        message = (
            f"imagesTs/{case_id(name)} has the name of a training case. Rename or remove one of the two."
        )
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
            SourceCase(
                case_id=case,
                image=volume_path(root / "imagesTr", case),
                label=volume_path(root / "labelsTr", case),
            )
            for case in sorted(training_ids)
        ],
        unlabelled=[
            SourceCase(case_id=case, image=volume_path(root / "imagesTs", case), label=None)
            for case in sorted(map(case_id, tests - names))
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


def read_msd_json(root: Path) -> dict[str, Any]:
    """Return the content of the source's dataset.json; PancextError unless it declares CT."""
    path = root / "dataset.json"
    if not path.is_file():
        raise PancextError(f"no dataset.json in {root}: {LAYOUT}. Extract the whole archive.")
    declared = read_json(path, expect=dict, remedy="Extract or download it again.")
    modality = declared.get("modality", {"0": "CT"})
    if not isinstance(modality, dict) or [str(m).upper() for m in modality.values()] != ["CT"]:
        raise PancextError(
            f"{path} declares modality {modality}: only single-channel CT can be converted. "
            "Is this the pancreas task?"
        )
    return declared


def parse_labels(labels: Any) -> dict[str, int]:
    """Turn MSD's {"0": "background", …} into {"background": 0, …}, values 0, 1, 2, … as nnU-Net requires."""
    hint = 'Expected is "labels": {"0": "background", "1": "pancreas", "2": "cancer"} in dataset.json.'
    try:
        values = {str(name): int(value) for value, name in labels.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise PancextError(f"cannot understand the labels {labels!r}. {hint}") from error
    values = dict(sorted(values.items(), key=lambda item: item[1]))
    if len(values) < 2 or len(values) != len(labels) or list(values.values()) != list(range(len(values))):
        raise PancextError(f"the labels {labels!r} are not 0, 1, 2, … with a name each. {hint}")
    if "background" in values and values["background"] != 0:
        raise PancextError(f"the labels {labels!r} call a foreground value background. {hint}")
    return {"background": 0, **{name: value for name, value in values.items() if value}}


def listed_pairs(declared: dict[str, Any], part: str) -> list[tuple[str, str]]:
    """Return the names of image and label of each case listed; the same where no label is listed.

    An entry is the path of the image, or a dict of both paths.
    """
    entries = declared.get(part) or []
    if not isinstance(entries, list):
        raise PancextError(f"'{part}' in dataset.json is a {type(entries).__name__}, not a list. Correct it.")
    pairs = []
    for entry in entries:
        paths = entry if isinstance(entry, dict) else {"image": entry}
        names = []
        for key, path in (("image", paths.get("image")), ("label", paths.get("label") or paths.get("image"))):
            if not isinstance(path, str) or not path:
                raise PancextError(
                    f"dataset.json has an entry without a path for '{key}': {entry!r}. Correct it."
                )
            names.append(case_id(path.replace("\\", "/").rsplit("/", 1)[-1]) + COMPRESSED)
        pairs.append((names[0], names[1]))
    return pairs


def provenance(declared: dict[str, Any]) -> dict[str, str]:
    """Return licence, reference, description and release, with the published values as defaults."""
    fields = {
        "licence": declared.get("licence") or declared.get("license") or "CC-BY-SA 4.0",
        "reference": declared.get("reference") or "Memorial Sloan Kettering Cancer Center",
        "description": declared.get("description") or "Pancreas and pancreatic tumour in CT",
        # The published file misspells the key.
        "release": declared.get("release") or declared.get("relase") or "unknown",
    }
    return {name: str(value).strip() for name, value in fields.items()}


def volumes(folder: Path) -> tuple[set[str], list[Problem]]:
    """Return the names of the volumes in `folder`, as if all were .nii.gz, and a problem for each double."""
    files = [path.name for path in folder.glob("[!.]*")] if folder.is_dir() else []
    packed = {name for name in files if name.endswith(COMPRESSED)}
    plain = {f"{name}.gz" for name in files if name.endswith(PLAIN)}
    problems = []
    for name in sorted(packed & plain):
        message = (
            f"{folder.name}/{case_id(name)}{PLAIN} exists beside {folder.name}/{name}. Remove the wrong one."
        )
        problems.append(Problem(case_id(name), "duplicate id", message))
    return packed | plain, problems


def compare_with_list(names: set[str], pairs: Sequence[tuple[str, str]], *, folder: str) -> Iterator[Problem]:
    """Yield where dataset.json's list and the disk disagree; the disk decides what is converted."""
    counts = Counter(image for image, _ in pairs if not image.startswith("."))
    for name in sorted(counts.keys() | names):
        case, where = case_id(name), f"{folder}/{name}"
        if name not in names:
            message = f"dataset.json lists {where}, which does not exist. Extract the whole archive."
            yield Problem(case, "listed but not on disk", message)
        elif not counts[name]:
            message = f"{folder}/{case} is not in dataset.json. List it, or remove it if it does not belong."
            yield Problem(case, "on disk but not listed", message, leaves_out=False)
        elif counts[name] > 1:
            message = f"dataset.json lists {where} {counts[name]} times. Correct the list."
            yield Problem(case, "duplicate id", message, leaves_out=False)


def case_id(name: str) -> str:
    """Return a file's name without its ending."""
    return name.removesuffix(COMPRESSED).removesuffix(PLAIN)


def other_files(root: Path) -> tuple[int, list[str]]:
    """Return the number of hidden files (`._*` and the like) in the dataset, and the unused files."""
    folders = (root, *(root / name for name in ("imagesTr", "labelsTr", "imagesTs")))
    files = [p for folder in folders if folder.is_dir() for p in folder.iterdir() if not p.is_dir()]
    visible = [path for path in files if not path.name.startswith(".")]
    ignored = [
        path.relative_to(root).as_posix()
        for path in visible
        if path != root / "dataset.json"
        and (path.parent == root or not path.name.endswith((COMPRESSED, PLAIN)))
    ]
    return len(files) - len(visible), sorted(ignored)
