"""Which inputs are DICOM, by content."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

from nnunet_pancext.io.files import walk_visible_files
from nnunet_pancext.prediction.cases import is_in_naming
from nnunet_pancext.raw_cases.dicom_slices import FIRST_GROUPS, BadSeries, read_header

PREAMBLE_BYTES, MAGIC = 128, b"DICM"


def is_dicom(path: Path, *, endings: Sequence[str]) -> bool:
    """Whether an input is a zip, a DICOM file, or a folder that holds DICOM files and no image for nnU-Net.

    `endings` are those of the files that the model reads.
    """
    if path.is_dir():
        if any(is_in_naming(file, endings) for file in path.iterdir()):
            return False
        return any(map(is_dicom_file, walk_visible_files(path)))
    if not path.is_file() or path.name.lower().endswith(tuple(ending.lower() for ending in endings)):
        return False
    return is_zip(path) or is_dicom_file(path)


def is_zip(path: Path) -> bool:
    """Whether the file is a zip, or is called one."""
    try:
        return path.is_file() and (path.suffix.lower() == ".zip" or zipfile.is_zipfile(path))
    except OSError:
        return False


def is_dicom_file(path: Path) -> bool:
    """Whether the file is a DICOM object; its preamble may be missing."""
    try:
        with path.open("rb") as file:
            start = file.read(PREAMBLE_BYTES + len(MAGIC))
        if start[PREAMBLE_BYTES:] == MAGIC:
            return True
        return start[:2] in FIRST_GROUPS and read_header(path, root=path.parent) is not None
    except (OSError, BadSeries):
        return False
