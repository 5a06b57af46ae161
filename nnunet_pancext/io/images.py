"""Reading and writing images through SimpleITK from several threads.

To find a format ITK creates one of each of its readers, even when the format is named, and not all of the
libraries behind them are thread-safe: the heap may be corrupted. So one file is read or written at a time,
and the threads share the work on its content. The format is named to spare ITK asking every reader.

Compression takes longest, so it is done outside ITK, in all threads at once, by ISA-L: in a quarter of ITK's
time, for files 2 % larger. Files hold no time stamp, so equal images give equal files.
"""

import errno
import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import SimpleITK as sitk
from isal import igzip

from nnunet_pancext.io.console_text import is_utf8
from nnunet_pancext.io.files import scratch_path
from nnunet_pancext.io.nifti_affine import first_header, has_finite_affine

NIFTI_FORMAT = "NiftiImageIO"
FORMATS = {".nii.gz": NIFTI_FORMAT, ".nii": NIFTI_FORMAT, ".png": "PNGImageIO"}
DICOM_FORMAT = "GDCMImageIO"
SLICES = (".png", ".bmp")
PAGES = (".tif", ".tiff")  # a slice, or with several pages a volume
COMPRESSED = ".nii.gz"
COMPRESSION_LEVEL = 2  # of 0 to 3
PIECE_BYTES = 1 << 22
_ITK_FILES = threading.Lock()


@contextmanager
def only_thread_in_itk() -> Iterator[None]:
    """Let no other thread read or write a file through ITK in the block; must not be nested."""
    with _ITK_FILES:
        yield


@contextmanager
def quiet_itk() -> Iterator[None]:
    """Keep ITK from printing warnings: the callers report problems themselves."""
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)


def format_of(path: Path) -> str:
    """Return ITK's name for the format of the file's ending; empty, which asks all readers, for others."""
    name = path.name.lower()
    return next((format_ for ending, format_ in FORMATS.items() if name.endswith(ending)), "")


def has_geometry(path: Path) -> bool:
    """Whether the format stores spacing, origin and direction."""
    return path.suffix.lower() not in (*SLICES, *PAGES)


def itk_reason(error: Exception) -> str:
    """Return the last line of ITK's message, which says why, without addresses in memory."""
    return re.sub(r"\(0x[0-9a-fA-F]+\)", "", str(error).strip().splitlines()[-1])


def read_image(path: Path) -> sitk.Image:
    """Return the image; raises RuntimeError as SimpleITK does."""
    with only_thread_in_itk():
        return sitk.ReadImage(_itk_name(path), imageIO=format_of(path))


def read_header(path: Path) -> sitk.ImageFileReader:
    """Return a reader that has read the image's header; raises RuntimeError as SimpleITK does."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO(format_of(path))
    reader.SetFileName(_itk_name(path))
    with only_thread_in_itk():
        reader.ReadImageInformation()
    return reader


def _itk_name(path: Path) -> str:
    """Return the path; raises RuntimeError where ITK would end the process or print matrices."""
    if not is_utf8(path):
        raise RuntimeError("its path is not UTF-8; rename it")
    header = first_header(path) if format_of(path) == NIFTI_FORMAT else None
    if header is not None and not has_finite_affine(header):
        raise RuntimeError("NaN or infinity in the affine of its header")
    return str(path)


def write_compressed(image: sitk.Image, path: Path) -> None:
    """Write the image, compressed where its format allows.

    While a .nii.gz is written, an uncompressed copy lies beside it.

    Raises:
        RuntimeError: as SimpleITK does.
        OSError: the disk is full, or the file system fails otherwise.
    """
    if not path.name.lower().endswith(COMPRESSED):
        _write(image, path)
        return
    with scratch_path(path.with_name(path.name[: -len(".gz")])) as plain:
        _write(image, plain)
        if plain.stat().st_size < image.GetNumberOfPixels() * image.GetSizeOfPixelComponent():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # ITK does not report it
        compress_file(plain, path)


def compress_file(plain: Path, path: Path) -> None:
    """Write the gzip-compressed content of `plain` to `path`; raises OSError."""
    with (
        plain.open("rb") as content,
        path.open("wb") as file,
        igzip.IGzipFile("", "wb", COMPRESSION_LEVEL, file, mtime=0) as compressed,
    ):
        shutil.copyfileobj(content, compressed, PIECE_BYTES)


def _write(image: sitk.Image, path: Path) -> None:
    with only_thread_in_itk():
        sitk.WriteImage(image, str(path), useCompression=True, imageIO=format_of(path))
