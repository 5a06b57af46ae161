"""Reading and writing images through SimpleITK while several threads work.

To find a format ITK makes one of each of its readers, also when the format is named, and not all of the
libraries behind them may be used by two threads at once: the process may then die of a damaged heap. So one
file is read or written at a time, and the threads share the work on what was read. The format is named all
the same, since asking every reader whether it knows the file takes time.

Compressing takes longest, so it is done outside ITK, in all threads at once, and by ISA-L: a quarter of ITK's
time for files of 2 % more. They hold no time stamp, so that equal images give equal files.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import SimpleITK as sitk
from isal import isal_zlib

from nnunet_pancext.io.files import scratch_path

FORMATS = {".nii.gz": "NiftiImageIO", ".nii": "NiftiImageIO", ".png": "PNGImageIO"}
DICOM_FORMAT = "GDCMImageIO"
COMPRESSED = ".nii.gz"
LEVEL = 2  # of 0 to 3
GZIP_WRAPPER = 31  # zlib's word for: write gzip's header and checksum
PIECE_BYTES = 1 << 22
_ITK_FILES = threading.Lock()


@contextmanager
def only_thread_in_itk() -> Iterator[None]:
    """Let no other thread read or write a file through ITK meanwhile; not to be nested."""
    with _ITK_FILES:
        yield


@contextmanager
def quiet_itk() -> Iterator[None]:
    """Keep ITK from printing: what it would say becomes a named problem."""
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)


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
    """Write the image, compressed where its format can.

    A .nii.gz needs as much room again, and not compressed, beside it while it is written.

    Raises:
        RuntimeError: as SimpleITK does.
        OSError: the disk is full, or other trouble of the file system.
    """
    if not path.name.lower().endswith(COMPRESSED):
        _write(image, path)
        return
    with scratch_path(path.with_name(path.name[: -len(".gz")])) as plain:
        _write(image, plain)
        if plain.stat().st_size < image.GetNumberOfPixels() * image.GetSizeOfPixelComponent():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # of which ITK says nothing
        compress(plain, path)


def compress(source: Path, target: Path) -> None:
    """Write the file's content as a gzip file."""
    with source.open("rb") as plain, target.open("wb") as compressed:
        deflate = isal_zlib.compressobj(LEVEL, wbits=GZIP_WRAPPER)
        while piece := plain.read(PIECE_BYTES):
            compressed.write(deflate.compress(piece))
        compressed.write(deflate.flush())


def _write(image: sitk.Image, path: Path) -> None:
    with only_thread_in_itk():
        sitk.WriteImage(image, str(path), useCompression=True, imageIO=format_of(path))
