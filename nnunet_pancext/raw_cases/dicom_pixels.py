"""Pixels that ITK is not asked for, or has no decoder for: of frames, and of further compressions."""

import math
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.filereader import read_partial
from pydicom.tag import Tag
from pydicom.uid import UID, RLELossless, UncompressedTransferSyntaxes

from nnunet_pancext.raw_cases.case_checks import FETCH_AGAIN
from nnunet_pancext.raw_cases.dicom_slices import BadSeries, num_frames
from nnunet_pancext.raw_cases.source import name_of

DECODERS = ("pylibjpeg", "libjpeg", "openjpeg")  # the packages' modules
INSTALL = 'pip install "nnunet-pancext[dicom]"'
PIXEL_DATA, UNDEFINED_LENGTH = 0x7FE00010, 0xFFFFFFFF  # the latter where pixels are compressed
SIZE_TAGS: list[int] = [Tag(name) for name in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")]
END_OF_IMAGE = b"\xff\xd9"  # of JPEG, JPEG-LS and JPEG 2000


def stored_values(path: Path, *, root: Path) -> NDArray[np.integer]:
    """Return the stored values (frame, row, column) of a file, without rescaling.

    Raises:
        BadSeries: they are damaged, or cannot be decoded.
    """
    name = name_of(path, root)
    try:
        data = dcmread(path, force=True)
    except Exception as error:  # pydicom has no common error class
        raise BadSeries(
            "unreadable slice", f"the pixels of {name} cannot be read ({error}). {FETCH_AGAIN}"
        ) from error
    syntax = UID(str(data.file_meta.get("TransferSyntaxUID") or ""))
    try:
        _require_whole(data, syntax)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of values against the standard that do no harm
            values = np.asarray(data.pixel_array)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BadSeries(
            "unreadable slice",
            f"the pixels of {name} cannot be read: {reason.rstrip('.')}. {remedy_of(syntax)}",
        ) from error
    return _own_bits(values.reshape(-1, *values.shape[-2:]), data, is_compressed=is_compressed(syntax))


def require_all_pixels(path: Path, *, root: Path) -> None:
    """Raise BadSeries for a slice with fewer bytes of pixels than its size says: ITK makes up the rest."""
    lengths: list[int] = []

    def is_at_pixels(tag: Any, _vr: str | None, length: int) -> bool:
        if tag == PIXEL_DATA:
            lengths.append(length)
        return bool(tag == PIXEL_DATA)

    try:
        with path.open("rb") as file:
            header = read_partial(file, is_at_pixels, force=True, specific_tags=SIZE_TAGS)
        needed = math.prod(int(header[tag].value) for tag in SIZE_TAGS if tag in header) // 8
    except Exception:  # pydicom has no common error class; ITK says what is wrong with the file
        return
    if lengths and lengths[0] != UNDEFINED_LENGTH and lengths[0] < needed:
        raise BadSeries(
            "unreadable slice",
            f"{name_of(path, root)} holds {lengths[0]} bytes of pixels, but its size needs {needed}. "
            f"{FETCH_AGAIN}",
        )


def is_compressed(syntax: str) -> bool:
    """Whether pixels of the transfer syntax must be decoded."""
    return bool(syntax) and syntax not in UncompressedTransferSyntaxes


def remedy_of(syntax: str) -> str:
    """Return how pixels are stored, if compressed, and what to do about those that cannot be read."""
    if not is_compressed(syntax):
        return FETCH_AGAIN
    uid = UID(syntax)
    name = f"{uid.name} ({uid})" if uid.name != uid else f"the unknown syntax {uid}"
    missing = [module for module in DECODERS if find_spec(module) is None]
    install = f"Install further decoders with {INSTALL}, or export" if missing else "Export"
    return (
        f"They are stored as {name}. {install} the series without compression (Explicit VR Little Endian), "
        "or download the file again."
    )


def syntax_of(path: Path) -> str:
    """Return the transfer syntax of a file; empty where it is not stated, or the file cannot be read."""
    try:
        header = dcmread(path, force=True, stop_before_pixels=True, specific_tags=[])
    except Exception:  # pydicom has no common error class
        return ""
    return str(header.file_meta.get("TransferSyntaxUID") or "")


def _require_whole(data: Dataset, syntax: str) -> None:
    """Raise ValueError for a compressed frame that was cut: decoders fill up what is missing in silence."""
    if not is_compressed(syntax) or syntax == RLELossless or "PixelData" not in data:
        return
    count = num_frames(data)
    for frame in _compressed_frames(data.PixelData, count):
        if not frame.rstrip(b"\0").endswith(END_OF_IMAGE):
            raise ValueError("a frame has no end: the file is damaged or cut short")


def _compressed_frames(content: bytes, count: int) -> Any:
    """Return the compressed frames, each in one piece."""
    from pydicom import encaps

    if hasattr(encaps, "generate_frames"):
        return encaps.generate_frames(content, number_of_frames=count)
    return encaps.generate_pixel_data_frame(content, count)  # pydicom 2


def _own_bits(values: NDArray[np.integer], data: Dataset, *, is_compressed: bool) -> NDArray[np.integer]:
    """Return values without the bits beyond those that are stored, of which the highest is a sign."""
    allocated = values.dtype.itemsize * 8
    stored = int(data.get("BitsStored") or allocated)
    high = stored - 1 if is_compressed else int(data.get("HighBit", stored - 1))
    left, right = allocated - 1 - high, allocated - stored
    return values if left == right == 0 else (values << left) >> right
