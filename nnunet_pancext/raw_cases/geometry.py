"""The geometry that an image's header gives."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nnunet_pancext.io.images import has_geometry, read_header


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Size in voxels x, y, z; spacing, origin and direction as SimpleITK gives them, in mm.

    `has_spacing` is false where the file stores none; the spacing is then 1.
    """

    size: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    origin_mm: tuple[float, ...]
    direction: tuple[float, ...]
    has_spacing: bool = True

    @property
    def is_finite(self) -> bool:
        """Whether no number is NaN or infinite."""
        return bool(np.isfinite([*self.spacing_mm, *self.origin_mm, *self.direction]).all())

    @property
    def slice_axis(self) -> int:
        """The array axis (of slice, row, column) across slices: of a single one, else nearest the height."""
        if len(self.size) == 2:
            return 0
        single = [axis for axis, length in enumerate(self.size[::-1]) if length == 1]
        if len(single) == 1:
            return single[0]
        along_height = np.abs(np.reshape(self.direction, (3, 3))[2])
        return 2 - int(along_height.argmax())


def read_geometry(path: Path) -> Geometry:
    """Return the geometry in the header, for a PNG only the size; raises RuntimeError as SimpleITK does."""
    return geometry_of(read_header(path), has_spacing=has_geometry(path))


def geometry_of(image: sitk.Image | sitk.ImageFileReader, *, has_spacing: bool = True) -> Geometry:
    """Return the geometry of an image, or of a header, without the axis of channels that a fourth one is."""
    size = tuple(image.GetSize())
    axes = min(3, len(size))
    direction = np.reshape(image.GetDirection(), (len(size), len(size)))[:axes, :axes]
    return Geometry(
        size=size[:axes],
        spacing_mm=tuple(image.GetSpacing()[:axes]) if has_spacing else (1.0,) * axes,
        origin_mm=tuple(image.GetOrigin()[:axes]) if has_spacing else (0.0,) * axes,
        direction=tuple((direction if has_spacing else np.eye(axes)).ravel().tolist()),
        has_spacing=has_spacing,
    )
