"""Reading and writing images through SimpleITK while several threads work.

To find a format ITK makes one of each of its readers, also when the format is named, and not all of the
libraries behind them may be used by two threads at once: the process may then die of a damaged heap. So one
file is read or written at a time, and the threads share the work on what was read. The format is named all
the same, since asking every reader whether it knows the file takes time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import SimpleITK as sitk

FORMATS = {".nii.gz": "NiftiImageIO", ".nii": "NiftiImageIO", ".png": "PNGImageIO"}
DICOM_FORMAT = "GDCMImageIO"
_ITK_FILES = threading.Lock()


@contextmanager
def only_thread_in_itk() -> Iterator[None]:
    """Let no other thread read or write a file through ITK meanwhile; not to be nested."""
    with _ITK_FILES:
        yield


def format_of(path: Path) -> str:
    """Return ITK's name of the format that the file's ending tells; empty, 'ask all', for others."""
    name = path.name.lower()
    return next((format_ for ending, format_ in FORMATS.items() if name.endswith(ending)), "")


def read_image(path: Path) -> sitk.Image:
    """Return the image; raises RuntimeError as SimpleITK does."""
    with only_thread_in_itk():
        return sitk.ReadImage(str(path), imageIO=format_of(path))


def read_header(path: Path) -> sitk.ImageFileReader:
    """Return a reader that knows the image's header; raises RuntimeError as SimpleITK does."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO(format_of(path))
    reader.SetFileName(str(path))
    with only_thread_in_itk():
        reader.ReadImageInformation()
    return reader


def write_compressed(image: sitk.Image, path: Path) -> None:
    """Write the image, compressed where its format can; raises RuntimeError as SimpleITK does."""
    with only_thread_in_itk():
        sitk.WriteImage(image, str(path), useCompression=True, imageIO=format_of(path))
