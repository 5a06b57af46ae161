"""Where the labels of a label map or DICOM-SEG lie in patient coordinates, and the known object there."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from contracts.dicom_series import lesion_at, organ_at


@dataclass(frozen=True)
class Placed:
    """A label map (slice, row, column), and the position of each voxel in mm."""

    labels: np.ndarray
    points_mm: np.ndarray

    def dice(self, *, has_lesion: bool = True) -> tuple[float, float]:
        """Return the overlap with organ and lesion, which are known at every position."""
        lesion = lesion_at(self.points_mm) & has_lesion
        organ = organ_at(self.points_mm) & ~lesion
        return overlap(self.labels == 1, organ), overlap(self.labels == 2, lesion)

    def off_centre_mm(self) -> float:
        """Return how far the centre of all that is labelled is from the object's on the same grid."""
        there = self.points_mm[self.labels > 0].mean(0)
        return float(np.linalg.norm(there - self.points_mm[organ_at(self.points_mm)].mean(0)))


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Return the Dice coefficient; 1 for two empty masks."""
    total = np.count_nonzero(one) + np.count_nonzero(other)
    return 2 * np.count_nonzero(one & other) / total if total else 1.0


def of_label_map(path: Path) -> Placed:
    """Place the voxels of an image file as ITK does."""
    image = sitk.ReadImage(str(path))
    steps = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    labels = sitk.GetArrayFromImage(image)
    indices = np.moveaxis(np.indices(labels.shape), 0, -1)[..., ::-1]
    return Placed(labels, indices @ steps.T + image.GetOrigin())


def of_segmentation(path: Path) -> Placed:
    """Place the voxels of a DICOM-SEG frame by frame, with pydicom alone."""
    data = pydicom.dcmread(path)
    shared = data.SharedFunctionalGroupsSequence[0]
    frames = np.atleast_3d(data.pixel_array).reshape(-1, data.Rows, data.Columns)
    placed: dict[tuple[float, ...], np.ndarray] = {}
    for frame, groups in zip(frames, data.PerFrameFunctionalGroupsSequence, strict=True):
        position = tuple(map(float, groups.PlanePositionSequence[0].ImagePositionPatient))
        number = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        labels = placed.setdefault(position, np.zeros(frame.shape, np.uint8))
        labels[frame > 0] = number
    orientation = np.reshape(shared.PlaneOrientationSequence[0].ImageOrientationPatient, (2, 3)).astype(float)
    row_mm, column_mm = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    rows, columns = np.indices((data.Rows, data.Columns))[..., None]
    in_plane = rows * row_mm * orientation[1] + columns * column_mm * orientation[0]
    points = np.stack([in_plane + position for position in placed])
    return Placed(np.stack(list(placed.values())), points)
