"""Reading images through SimpleITK in several threads at once.

Where the format is not named, ITK asks all its readers in turn whether they know the file. HDF5's is among
them, and its library must not work in two threads at once: the process may then
die of a damaged heap. With the format named nobody is asked, which saves time as well.
"""

from __future__ import annotations

from pathlib import Path

import SimpleITK as sitk

FORMATS = {".nii.gz": "NiftiImageIO", ".nii": "NiftiImageIO", ".png": "PNGImageIO"}
DICOM_FORMAT = "GDCMImageIO"


def format_of(path: Path) -> str:
    """Return ITK's name of the format that the file's ending tells; empty, 'ask all', for others."""
    name = path.name.lower()
    return next((format_ for ending, format_ in FORMATS.items() if name.endswith(ending)), "")


def read_image(path: Path) -> sitk.Image:
    """Return the image; raises RuntimeError as SimpleITK does."""
    return sitk.ReadImage(str(path), imageIO=format_of(path))
