"""One pass over a .nii.gz or .nii file: is it whole, and which values does nnU-Net read from it.

The values are those of nnU-Net's readers, SimpleITK's or nibabel's, bit by bit. But SimpleITK would fill the
rest of a truncated file with zeros, replace NaN by zero and need the whole volume in memory. A scan holds a
few megabytes at a time.
"""

import gzip
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from isal import igzip
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header

from nnunet_pancext.io.label_values import in_single_precision
from nnunet_pancext.io.nifti_affine import HEADER_BYTES, INFLATE_ERROR, has_finite_affine
from nnunet_pancext.io.unreadable import (
    NIFTI2_HEADER_BYTES,
    VOXEL_TYPES,
    WRITE_ANEW,
    UnreadableImage,
    require_gzip,
    require_nifti1,
    size_of_header,
)
from nnunet_pancext.io.voxel_hash import VoxelHash

MOST_HEADER_BYTES = 1 << 28  # with its extensions
PIECE_VOXELS = 1 << 22
SMALLEST_SLOPE = float(np.finfo(float).eps)  # ITK takes a smaller one for 'no slope'
MOST_VALUES = 1000  # an image with more distinct values than this is not a label map


@dataclass(frozen=True)
class NiftiHeader:
    """The fields of a NIfTI-1 header that the scan needs; slope and intercept as stored, perhaps NaN."""

    size: tuple[int, ...]
    voxel_type: np.dtype
    data_offset: int
    slope: float
    intercept: float

    def scaling(self, *, by_nibabel: bool) -> tuple[float, float] | None:
        """Return slope and intercept as ITK or nibabel takes them, None for 'no scaling'.

        Raises:
            UnreadableImage: nibabel refuses the intercept.
        """
        if by_nibabel:
            if not math.isfinite(self.slope) or self.slope == 0:
                return None
            if not math.isfinite(self.intercept):
                raise UnreadableImage(f"has the intercept (scl_inter) {self.intercept} in its header")
            slope, intercept = self.slope, self.intercept
        else:
            is_slope = math.isfinite(self.slope) and abs(self.slope) >= SMALLEST_SLOPE
            slope = self.slope if is_slope else 1.0
            intercept = self.intercept if math.isfinite(self.intercept) else 0.0
        return None if abs(slope - 1) <= SMALLEST_SLOPE >= abs(intercept) else (slope, intercept)


@dataclass(frozen=True, kw_only=True)
class VoxelScan:
    """The result of one pass.

    `values` are the distinct voxel values in single precision, in which nnU-Net keeps them, where they were
    collected; else empty. Where they were not, `lowest` and `highest` are the range of the finite ones, and
    `voxel_hash` depends on the values and not on the geometry; it is None for a constant image, which does
    not identify a patient. `further` are the scans of the further channels in the file.
    """

    size: tuple[int, ...]
    voxel_hash: str | None
    non_finite_voxels: int
    values: tuple[float, ...]
    lowest: float = math.inf
    highest: float = -math.inf
    further: tuple["VoxelScan", ...] = ()


def joint_hash(scans: Iterable[VoxelScan]) -> str | None:
    """Return one hash for several channels; None if all are constant."""
    hashes = [scan.voxel_hash for scan in scans]
    return " ".join(map(str, hashes)) if any(hashes) else None


def parse_header(content: bytes, *, name: str) -> NiftiHeader:
    """Return the fields of the header of the file `name`, 348 bytes, or 540 of NIfTI-2.

    Raises:
        UnreadableImage: it is none.
    """
    if len(content) == NIFTI2_HEADER_BYTES:
        header: Nifti1Header = Nifti2Header(content, check=False)
        if header["magic"] != b"n+2":
            raise UnreadableImage("is not a single-file NIfTI-2 image")
    else:
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
    if not has_finite_affine(header):
        raise UnreadableImage("has NaN or infinity in the affine (sform or qform) of its header", WRITE_ANEW)
    data_offset = float(header["vox_offset"])
    if not len(content) <= data_offset <= MOST_HEADER_BYTES:
        raise UnreadableImage(f"declares its voxels at byte {data_offset:g}", WRITE_ANEW)
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    return NiftiHeader(tuple(size), voxel_type, int(data_offset), slope, intercept)


def scan_nifti(
    path: Path, *, collect_values: bool, by_nibabel: bool = False, needs_gzip: bool = True
) -> VoxelScan:
    """Read every voxel of `path` and verify the gzip checksum.

    With `collect_values` the distinct values are returned, sorted, instead of a hash and the range. Values
    are scaled as SimpleITK does, or nibabel if `by_nibabel`, which also reads NIfTI-2. Without `needs_gzip`
    a .nii.gz file need not be compressed, as in SimpleITK.

    Raises:
        UnreadableImage: the file is not a whole NIfTI-1 image.
    """
    values: set[float] = set()
    non_finite = 0
    lowest, highest = math.inf, -math.inf
    with _opened(path, by_nibabel=by_nibabel, needs_gzip=needs_gzip) as (header, pieces):
        scaling = header.scaling(by_nibabel=by_nibabel)
        voxels = None if collect_values else VoxelHash(header.size)
        for piece in pieces:
            finite = piece
            if piece.dtype.kind == "f":
                finite = piece[np.isfinite(piece)]
                non_finite += piece.size - finite.size
            if voxels is None:
                if len(values) <= MOST_VALUES:
                    read = scale(distinct(finite), scaling, by_nibabel=by_nibabel)
                    values.update(in_single_precision(read).astype(np.float32).tolist())
                continue
            voxels.add(scale(piece, scaling, by_nibabel=by_nibabel))
            if finite.size:
                ends = np.array([finite.min(), finite.max()], finite.dtype)
                ends = scale(ends, scaling, by_nibabel=by_nibabel)
                lowest, highest = min(lowest, float(ends.min())), max(highest, float(ends.max()))
    return VoxelScan(
        size=header.size,
        voxel_hash=voxels.result() if voxels else None,
        non_finite_voxels=non_finite,
        values=tuple(sorted(values)),
        lowest=lowest,
        highest=highest,
    )


def scale(voxels: np.ndarray, scaling: tuple[float, float] | None, *, by_nibabel: bool) -> np.ndarray:
    """Return the values of stored voxels, computed in double precision.

    They are kept in single precision unless stored in double. ITK rounds integers to single precision before
    it multiplies, nibabel does not.
    """
    if scaling is None:
        return voxels
    slope, intercept = scaling
    is_double = voxels.dtype.kind == "f" and voxels.dtype.itemsize == 8
    kept = np.dtype(np.float64 if is_double else np.float32)
    stored = voxels if by_nibabel else voxels.astype(kept)
    with np.errstate(over="ignore", invalid="ignore"):
        return (stored.astype(np.float64) * slope + intercept).astype(kept)


def count_non_finite(path: Path) -> int:
    """Return how many voxels are NaN or infinite; raises as `scan_nifti`, faster."""
    with _opened(path) as (_, pieces):
        return sum(
            piece.size - int(np.count_nonzero(np.isfinite(piece)))
            for piece in pieces
            if piece.dtype.kind == "f"
        )


@contextmanager
def _opened(
    path: Path, *, by_nibabel: bool = False, needs_gzip: bool = True
) -> Iterator[tuple[NiftiHeader, Iterator[np.ndarray]]]:
    """Yield the header and all voxels of a file, decompressed if its name ends in .gz."""
    try:
        if path.stat().st_size == 0:
            raise UnreadableImage("is empty (0 bytes)")
        with path.open("rb") as file:
            start = file.read(HEADER_BYTES)
            file.seek(0)
            is_compressed = path.name.lower().endswith(".gz")
            if not needs_gzip and size_of_header(start) == HEADER_BYTES:
                is_compressed = False
            if is_compressed:
                require_gzip(start, name=path.name)
            with igzip.open(file) if is_compressed else file as content:
                start = content.read(HEADER_BYTES)
                if by_nibabel and size_of_header(start) == NIFTI2_HEADER_BYTES:
                    start += content.read(NIFTI2_HEADER_BYTES - HEADER_BYTES)
                header = parse_header(start, name=path.name)
                yield header, _pieces(content, header, start=len(start))
    except EOFError as error:
        raise UnreadableImage("is cut short: the compressed data ends too early") from error
    except gzip.BadGzipFile as error:
        raise UnreadableImage(f"is a damaged gzip file ({error})") from error
    except INFLATE_ERROR as error:
        raise UnreadableImage(f"has damaged compressed data ({error})") from error
    except OSError as error:
        remedy = "Check the file's permissions and the disk that it is on."
        raise UnreadableImage(f"cannot be read ({error.strerror or error})", remedy) from error


def _pieces(stream: BinaryIO, header: NiftiHeader, *, start: int) -> Iterator[np.ndarray]:
    """Yield all voxels as they are stored, some millions at a time, and read the stream to its end.

    `start` bytes of it have been read.
    """
    stream.read(header.data_offset - start)
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
