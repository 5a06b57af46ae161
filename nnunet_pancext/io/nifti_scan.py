"""One pass over a .nii.gz or .nii file: is it whole, and which voxel values does it hold.

Read here and not through SimpleITK because its reader fills the rest of a cut file with zeros, replaces NaN
by zero and needs the whole volume in memory. A scan holds one piece of some megabytes.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from nnunet_pancext.io.gzip_stream import GzipStream
from nnunet_pancext.io.voxel_hash import VoxelHash

HEADER_BYTES = 348
PIECE_VOXELS = 1 << 22
MOST_VALUES = 1000  # a label with more distinct values than this is no label; no need to list them
VOXEL_TYPES = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}


class UnreadableImage(Exception):
    """The file is not a whole image; the text says why."""


class Stream(Protocol):
    """What can be read piece by piece."""

    def read(self, size: int, /) -> bytes:
        """Return the next `size` bytes, fewer at the end."""


@dataclass(frozen=True, kw_only=True)
class NiftiHeader:
    """What the scan needs of a NIfTI-1 header."""

    size: tuple[int, ...]
    voxel_type: np.dtype
    data_offset: int
    slope: float
    intercept: float


@dataclass(frozen=True, kw_only=True)
class VoxelScan:
    """The outcome of one pass. `values` is empty unless asked for.

    `voxel_hash` is of the values alone, not of their geometry; None where values were asked for, or where the
    image has one value alone, which does not tell whom it shows.
    """

    size: tuple[int, ...]
    voxel_hash: str | None
    non_finite_voxels: int
    values: tuple[float, ...]


def parse_header(header: bytes) -> NiftiHeader:
    """Return the fields of the first 348 bytes of a NIfTI-1 file; raises UnreadableImage."""
    if len(header) < HEADER_BYTES:
        raise UnreadableImage(f"has {len(header)} bytes inside, a NIfTI header alone has {HEADER_BYTES}")
    order = "<" if struct.unpack_from("<i", header)[0] == HEADER_BYTES else ">"
    if struct.unpack_from(f"{order}i", header)[0] != HEADER_BYTES or header[344:348] != b"n+1\0":
        raise UnreadableImage("is not a single-file NIfTI-1 image")
    dimensions, *extent = struct.unpack_from(f"{order}8h", header, 40)
    if not 1 <= dimensions <= 7 or min(extent[:dimensions]) < 1:
        raise UnreadableImage(f"declares an impossible size {tuple(extent[:dimensions])}")
    size = list(extent[:dimensions])
    while len(size) > 3 and size[-1] == 1:
        size.pop()
    code = struct.unpack_from(f"{order}h", header, 70)[0]
    if code not in VOXEL_TYPES:
        raise UnreadableImage(f"has voxels of NIfTI type {code}, which is not a plain number")
    data_offset, slope, intercept = struct.unpack_from(f"{order}3f", header, 108)
    if not (math.isfinite(data_offset) and data_offset >= HEADER_BYTES):
        raise UnreadableImage(f"declares its voxels at byte {data_offset}")
    if not math.isfinite(slope) or not math.isfinite(intercept) or slope == 0:
        slope, intercept = 1.0, 0.0  # the NIfTI-1 convention for 'no scaling'
    return NiftiHeader(
        size=tuple(size),
        voxel_type=np.dtype(order + VOXEL_TYPES[code]),
        data_offset=int(data_offset),
        slope=slope,
        intercept=intercept,
    )


def scan_nifti(path: Path, *, collect_values: bool) -> VoxelScan:
    """Inflate all of `path` and look at every voxel; raises UnreadableImage for a file that is not whole.

    The gzip checksum is verified. With `collect_values` the distinct voxel values are returned, sorted, and
    no hash: labels are not compared with each other.
    """
    with _opened(path) as stream:
        return scan_stream(stream, collect_values=collect_values)


def count_non_finite(path: Path) -> int:
    """Read all of `path` as `scan_nifti` does; return how many voxels are NaN or infinite."""
    with _opened(path) as stream:
        header = parse_header(stream.read(HEADER_BYTES))
        return sum(
            piece.size - int(np.count_nonzero(np.isfinite(piece)))
            for piece in _pieces(stream, header)
            if piece.dtype.kind == "f"
        )


def scan_stream(stream: Stream, *, collect_values: bool) -> VoxelScan:
    """Do the work of `scan_nifti` on the inflated stream."""
    header = parse_header(stream.read(HEADER_BYTES))
    slope, intercept = header.slope, header.intercept
    voxels = None if collect_values else VoxelHash(header.size)
    non_finite = 0
    values: set[float] = set()
    for piece in _pieces(stream, header):
        if voxels:
            voxels.add(
                piece if (slope, intercept) == (1, 0) else piece.astype(np.float64) * slope + intercept
            )
        if piece.dtype.kind == "f":
            finite = np.isfinite(piece)
            non_finite += int(piece.size - np.count_nonzero(finite))
            piece = piece[finite]
        if collect_values and len(values) <= MOST_VALUES:
            scaled = distinct(piece).astype(np.float64) * slope + intercept
            values.update(scaled.tolist())
    return VoxelScan(
        size=header.size,
        voxel_hash=voxels.result() if voxels else None,
        non_finite_voxels=non_finite,
        values=tuple(sorted(values)),
    )


@contextmanager
def _opened(path: Path) -> Iterator[Stream]:
    """Yield what is in the file, inflated where its name says so; every damage is an UnreadableImage."""
    try:
        if path.stat().st_size == 0:
            raise UnreadableImage("is empty (0 bytes)")
        with path.open("rb") as file:
            yield GzipStream(file) if path.name.lower().endswith(".gz") else file
    except EOFError as error:
        raise UnreadableImage("is cut short: the compressed data ends too early") from error
    except gzip.BadGzipFile as error:
        raise UnreadableImage(f"is not a sound gzip file ({error})") from error
    except zlib.error as error:
        raise UnreadableImage(f"has damaged compressed data ({error})") from error
    except OSError as error:
        raise UnreadableImage(f"cannot be read ({error.strerror or error})") from error


def _pieces(stream: Stream, header: NiftiHeader) -> Iterator[np.ndarray]:
    """Yield all voxels as they are stored, some millions at a time, and read the stream to its end."""
    stream.read(header.data_offset - HEADER_BYTES)
    itemsize = header.voxel_type.itemsize
    voxels_left = math.prod(header.size)
    while voxels_left:
        wanted = min(voxels_left, PIECE_VOXELS) * itemsize
        data = stream.read(wanted)
        if len(data) < wanted:
            missing = voxels_left * itemsize - len(data)
            raise UnreadableImage(
                f"is cut short: {missing} bytes of voxels are missing for size {header.size}"
            )
        voxels_left -= wanted // itemsize
        yield np.frombuffer(data, header.voxel_type)
    while stream.read(PIECE_VOXELS):
        pass  # reaching the end is what makes gzip compare its checksum


def distinct(piece: np.ndarray) -> np.ndarray:
    """Return the distinct values; counting beats sorting for the type labels usually have."""
    if piece.dtype == np.uint8:
        return np.flatnonzero(np.bincount(piece, minlength=256))
    return np.unique(piece)
