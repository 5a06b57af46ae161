"""The files of a raw dataset's cases: those in its folders, or those under "dataset" in dataset.json."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import shown_json
from nnunet_pancext.nnunet_files.dataset_json import DatasetJson


@dataclass(frozen=True)
class CaseFiles:
    """The images of a case by the number of the channel, and its label map, None for an unlabelled test case.

    A labelled case may lack images; the label map may be missing on disk.
    """

    images: Mapping[int, Path] = field(default_factory=dict)
    label: Path | None = None


def training_files(declared: DatasetJson) -> dict[str, CaseFiles]:
    """Return the files of each training case.

    Raises:
        PancextError: there are no images, or the key "dataset" is malformed.
    """
    folder, ending = declared.path.parent, declared.file_ending
    if "dataset" in declared.content:
        return _listed_files(declared)
    files = _files_in(folder, "Tr", ending=ending)
    if not any(case.images for case in files.values()):
        others = sorted(path.name for path in (folder / "imagesTr").glob("[!.]*"))[:3]
        there = f" Its file_ending is {ending}, but there are {', '.join(others)}." if others else ""
        raise PancextError(
            f"No images *_0000{ending} in {folder / 'imagesTr'}. Is this an nnU-Net raw dataset?{there}"
        )
    labels = folder / "labelsTr"
    return {
        case: CaseFiles(of_case.images, of_case.label or labels / f"{case}{ending}")
        for case, of_case in files.items()
    }


def testing_files(declared: DatasetJson) -> dict[str, CaseFiles]:
    """Return the files of each test case, from imagesTs and labelsTs."""
    return _files_in(declared.path.parent, "Ts", ending=declared.file_ending)


def files_taken_for_images(declared: DatasetJson) -> list[str]:
    """Return the names in imagesTr that nnU-Net takes for images although they are named otherwise."""
    folder, ending = declared.path.parent / "imagesTr", declared.file_ending
    if "dataset" in declared.content or not folder.is_dir():
        return []
    names = sorted(path.name for path in folder.iterdir() if path.name.endswith(ending) and path.is_file())
    return [name for name in names if not _image_name(ending).fullmatch(name)]


def _image_name(ending: str) -> re.Pattern[str]:
    return re.compile(rf"([^.].*)_(\d{{4}}){re.escape(ending)}")


def _files_in(folder: Path, subset: str, *, ending: str) -> dict[str, CaseFiles]:
    images: dict[str, dict[int, Path]] = {}
    for path in sorted((folder / f"images{subset}").glob(f"*{ending}")):
        if match := _image_name(ending).fullmatch(path.name):
            images.setdefault(match[1], {})[int(match[2])] = path
    labels = {
        path.name.removesuffix(ending): path for path in (folder / f"labels{subset}").glob(f"[!.]*{ending}")
    }
    return {case: CaseFiles(images.get(case, {}), labels.get(case)) for case in sorted({*images, *labels})}


def _listed_files(declared: DatasetJson) -> dict[str, CaseFiles]:
    listed = declared.content["dataset"]
    if not isinstance(listed, dict) or not listed:
        raise _malformed(declared, "dataset", listed)
    return {case: _listed_case(declared, case, files) for case, files in listed.items()}


def _listed_case(declared: DatasetJson, case: str, files: Any) -> CaseFiles:
    images, label = (files.get("images"), files.get("label")) if isinstance(files, dict) else (None, None)
    if (
        not isinstance(images, list)
        or not images
        or not all(isinstance(path, str) for path in (*images, label))
    ):
        raise _malformed(declared, f"dataset entry {case!r}", files)
    if Path(case).name != case:
        raise PancextError(f"{declared.path} lists the case {case!r}, which is no file name. Rename it.")
    folder = Path(os.path.abspath(declared.path.parent))
    paths = [Path(os.path.abspath(folder / os.path.expandvars(path))) for path in (*images, label)]
    return CaseFiles(dict(enumerate(paths[:-1])), paths[-1])


def _malformed(declared: DatasetJson, what: str, value: object) -> PancextError:
    return PancextError(
        f"{declared.path} has the {what} {shown_json(value)}; nnU-Net expects the files of each case, "
        'as in {"case_1": {"images": ["a/case_1_0000.nii.gz"], "label": "b/case_1.nii.gz"}}. Correct it.'
    )
