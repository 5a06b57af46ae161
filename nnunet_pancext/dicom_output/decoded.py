"""A DICOM Segmentation decoded by its positions in patient coordinates, to compare it with its label map."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from nnunet_pancext.dicom_output.source_images import (
    PLANE_TOLERANCE,
    SourceImages,
    functional_group,
    step_affine,
)
from nnunet_pancext.errors import PancextError
from nnunet_pancext.raw_cases.case_checks import DIRECTION_TOLERANCE
from nnunet_pancext.raw_cases.geometry import Geometry

STEP_TOLERANCE = 2 * DIRECTION_TOLERANCE  # of the step from pixel to pixel, relative


class Differs(Exception):
    """A frame is not where it should be, or holds something else."""


def require_same(
    path: Path,
    label_map: NDArray[Any],
    *,
    geometry: Geometry,
    values: Mapping[str, tuple[int, ...]],
    source: SourceImages,
    may_omit: bool,
    name: str,
) -> None:
    """Raise PancextError, which names the file `name`, unless the file holds the label map where it belongs.

    Each frame is placed by its own position and the shared orientation and spacing, as by any other program.
    """
    try:
        _compare(dcmread(path), label_map, geometry=geometry, values=values, source=source, may_omit=may_omit)
    except Differs as error:
        raise PancextError(
            f"{name} differs from the label map: {error}. It was not kept. "
            "Report this, with the versions of pydicom and highdicom; the label map is not affected."
        ) from error


def _compare(
    data: Dataset,
    label_map: NDArray[Any],
    *,
    geometry: Geometry,
    values: Mapping[str, tuple[int, ...]],
    source: SourceImages,
    may_omit: bool,
) -> None:
    """Raise Differs unless every voxel of every segment is in the frame at its position, and nothing else."""
    if [segment.SegmentNumber for segment in data.SegmentSequence] != list(range(1, len(values) + 1)):
        raise Differs("its segments are not those of the labels")
    references = {position: source.reference(frame) for frame, position in enumerate(source.slices)}
    several = list(values.values())
    seen = set()
    for index in range(int(data.NumberOfFrames)):
        group = data.PerFrameFunctionalGroupsSequence[index]
        segment = int(functional_group(data, group, "SegmentIdentificationSequence").ReferencedSegmentNumber)
        place = _slice_of(data, group, geometry=geometry, frame=index)
        _require_reference(data, group, references[place], frame=index)
        expected = np.isin(label_map[place], several[segment - 1])
        if not np.array_equal(frame_pixels(data, index), expected):
            raise Differs(f"frame {index + 1}, segment {segment}, differs from slice {place + 1}")
        if (segment, place) in seen:
            raise Differs(f"slice {place + 1} of segment {segment} occurs twice")
        seen.add((segment, place))
    for segment, of_segment in enumerate(several, start=1):
        for place in range(len(label_map)):
            is_missing = (segment, place) not in seen
            if is_missing and (not may_omit or np.isin(label_map[place], of_segment).any()):
                raise Differs(f"slice {place + 1} of segment {segment} is missing")


def frame_pixels(data: Dataset, index: int) -> NDArray[np.bool_]:
    """Return frame `index` of a binary segmentation, (row, column): bits without gaps between frames."""
    rows, columns = int(data.Rows), int(data.Columns)
    start, end = index * rows * columns, (index + 1) * rows * columns
    packed = np.frombuffer(data.PixelData[start // 8 : -(-end // 8)], np.uint8)
    bits = np.unpackbits(packed, bitorder="little")[start % 8 :]
    return bits[: rows * columns].reshape(rows, columns).astype(bool)


def frame_affine(data: Dataset, group: Dataset) -> NDArray[np.float64]:
    """Return the affine (4, 3) of a frame: mm in patient coordinates from (column, row, 1)."""
    orientation = functional_group(data, group, "PlaneOrientationSequence").ImageOrientationPatient
    along_row, along_column = np.reshape(orientation, (2, 3)).astype(float)
    row_mm, column_mm = map(float, functional_group(data, group, "PixelMeasuresSequence").PixelSpacing)
    position = np.asarray(functional_group(data, group, "PlanePositionSequence").ImagePositionPatient, float)
    return np.stack([along_row * column_mm, along_column * row_mm, position], axis=1)


def _slice_of(data: Dataset, group: Dataset, *, geometry: Geometry, frame: int) -> int:
    """Return the slice of the label map that a frame lies on, with the same first pixel, rows and columns."""
    columns, rows, count = geometry.size
    if (int(data.Columns), int(data.Rows)) != (columns, rows):
        raise Differs(f"frame {frame + 1} has another number of rows or columns")
    affine, of_map = frame_affine(data, group), step_affine(geometry)
    pixel_mm = min(geometry.spacing_mm[:2])
    # Slices of one series may differ in orientation by the tolerance, each from the label map.
    if not np.allclose(affine[:, :2], of_map[:3, :2], rtol=0, atol=STEP_TOLERANCE * pixel_mm):
        raise Differs(f"frame {frame + 1} has other rows or columns than the label map")
    column, row, along = np.linalg.solve(of_map[:3, :3], affine[:, 2] - of_map[:3, 3])
    # A slice may be shifted a little along the normal where the series is unevenly spaced.
    off_mm = max(abs(column) * geometry.spacing_mm[0], abs(row) * geometry.spacing_mm[1])
    place = int(np.rint(along))
    if off_mm > PLANE_TOLERANCE * pixel_mm or not 0 <= place < count:
        raise Differs(f"frame {frame + 1} lies {off_mm:.2f} mm off the label map's grid")
    return place


def _require_reference(
    data: Dataset, group: Dataset, expected: tuple[str, int | None], *, frame: int
) -> None:
    """Raise Differs unless the frame names the image at its position as its source."""
    try:
        image = functional_group(data, group, "DerivationImageSequence").SourceImageSequence[0]
    except (AttributeError, IndexError):
        raise Differs(f"frame {frame + 1} names no source image") from None
    actual = (str(image.ReferencedSOPInstanceUID), image.get("ReferencedFrameNumber"))
    if actual != (str(expected[0]), expected[1]):
        raise Differs(f"frame {frame + 1} names the image of another position as its source")
