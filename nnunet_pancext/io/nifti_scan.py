"""One pass over a .nii.gz or .nii file: is it whole, and which voxel values does it hold.

SimpleITK would fill the rest of a truncated file with zeros, replace NaN by zero and need the whole volume in
memory. A scan holds a few megabytes at a time.
"""

import gzip
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from isal import igzip, isal_zlib
from nibabel.nifti1 import Nifti1Header

from nnunet_pancext.io.unreadable import (
    HEADER_BYTES,
    VOXEL_TYPES,
    UnreadableImage,
    require_gzip,
    require_nifti1,
)
from nnunet_pancext.io.voxel_hash import VoxelHash

MOST_HEADER_BYTES = 1 << 28  # with its extensions
WRITE_ANEW = "Write it anew with the program that made it, or correct its header."
PIECE_VOXELS = 1 << 22
MOST_VALUES = 1000  # an image with more distinct values than this is not a label map
# Its stub declares the class as an instance.
INFLATE_ERROR: type[Exception] = isal_zlib.error  # type: ignore[assignment]


@dataclass(frozen=True)
class NiftiHeader:
    """The fields of a NIfTI-1 header that the scan needs."""

    size: tuple[int, ...]
    voxel_type: np.dtype
    data_offset: int
    slope: float
    intercept: float


@dataclass(frozen=True, kw_only=True)
class VoxelScan:
    """The result of one pass.

    `values` are the distinct voxel values where these were collected, else empty. `voxel_hash` depends on the
    values and not on the geometry; None where values were collected and for a constant image, which does not
    identify a patient.
    """

    size: tuple[int, ...]
    voxel_hash: str | None
    non_finite_voxels: int
    values: tuple[float, ...]


def parse_header(content: bytes, *, name: str) -> NiftiHeader:
    """Return the fields of the first 348 bytes of the NIfTI-1 file `name`; raises UnreadableImage."""
    require_nifti1(content, name=name)
    header = Nifti1Header(content, check=False)
    dimensions, *extent = header["dim"].tolist()
    size = extent[:dimensions]
    if not 1 <= dimensions <= 7 or min(size) < 1:
        raise UnreadableImage(f"declares an impossible size {tuple(size)}", WRITE_ANEW)
    while len(size) > 3 and size[-1] == 1:
        size.pop()
    try:
        voxel_type = header.get_data_dtype()
    except KeyError:
        voxel_type = np.dtype(object)
    if voxel_type.kind not in "iuf" or voxel_type.itemsize > 8:
        code = int(header["datatype"])
        kind, remedy = VOXEL_TYPES.get(code, ("unknown", "Save it as int16 or float32."))
        raise UnreadableImage(f"has voxels of NIfTI type {code} ({kind}), which cannot be used", remedy)
    data_offset = float(header["vox_offset"])
    if not HEADER_BYTES <= data_offset <= MOST_HEADER_BYTES:
        raise UnreadableImage(f"declares its voxels at byte {data_offset:g}", WRITE_ANEW)
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if not math.isfinite(slope) or not math.isfinite(intercept) or slope == 0:
        slope, intercept = 1.0, 0.0  # the NIfTI-1 convention for 'no scaling'
    return NiftiHeader(tuple(size), voxel_type, int(data_offset), slope, intercept)


def scan_nifti(path: Path, *, collect_values: bool) -> VoxelScan:
    """Read every voxel of `path` and verify the gzip checksum.

    With `collect_values` the distinct voxel values are returned, sorted, instead of a hash.

    Raises:
        UnreadableImage: the file is not a whole NIfTI-1 image.
    """
    values: set[float] = set()
    non_finite = 0
    with _opened(path) as (header, pieces):
        slope, intercept = header.slope, header.intercept
        voxels = None if collect_values else VoxelHash(header.size)
        for piece in pieces:
            if voxels:
                is_scaled = (slope, intercept) != (1, 0)
                voxels.add(piece.astype(np.float64) * slope + intercept if is_scaled else piece)
            if piece.dtype.kind == "f":
                finite = piece[np.isfinite(piece)]
                non_finite += piece.size - finite.size
                piece = finite
            if collect_values and len(values) <= MOST_VALUES:
                values.update((distinct(piece).astype(np.float64) * slope + intercept).tolist())
    return VoxelScan(
        size=header.size,
        voxel_hash=voxels.result() if voxels else None,
        non_finite_voxels=non_finite,
        values=tuple(sorted(values)),
    )


def count_non_finite(path: Path) -> int:
    """Return how many voxels are NaN or infinite; raises as `scan_nifti`, faster."""
    with _opened(path) as (_, pieces):
        return sum(
            piece.size - int(np.count_nonzero(np.isfinite(piece)))
            for piece in pieces
            if piece.dtype.kind == "f"
        )


@contextmanager
def _opened(path: Path) -> Iterator[tuple[NiftiHeader, Iterator[np.ndarray]]]:
    """Yield the header and all voxels of a file, decompressed if its name ends in .gz."""
    try:
        if path.stat().st_size == 0:
            raise UnreadableImage("is empty (0 bytes)")
        is_compressed = path.name.lower().endswith(".gz")
        with path.open("rb") as file:
            if is_compressed:
                require_gzip(file.read(HEADER_BYTES), name=path.name)
            file.seek(0)
            with igzip.open(file) if is_compressed else file as content:
                header = parse_header(content.read(HEADER_BYTES), name=path.name)
                yield header, _pieces(content, header)
    except EOFError as error:
        raise UnreadableImage("is cut short: the compressed data ends too early") from error
    except gzip.BadGzipFile as error:
        raise UnreadableImage(f"is a damaged gzip file ({error})") from error
    except INFLATE_ERROR as error:
        raise UnreadableImage(f"has damaged compressed data ({error})") from error
    except OSError as error:
        remedy = "Check the file's permissions and the disk that it is on."
        raise UnreadableImage(f"cannot be read ({error.strerror or error})", remedy) from error


def _pieces(stream: BinaryIO, header: NiftiHeader) -> Iterator[np.ndarray]:
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
        pass  # gzip compares its checksum at the end


def distinct(piece: np.ndarray) -> np.ndarray:
    """Return the distinct values; counting is faster than sorting for the usual type of label maps."""
    if piece.dtype == np.uint8:
        return np.flatnonzero(np.bincount(piece, minlength=256))
    return np.unique(piece)
