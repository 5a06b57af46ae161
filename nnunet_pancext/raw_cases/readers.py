"""nnU-Net's readers of images: what nnU-Net reads from a file, with which values and in which geometry."""

import io
import zlib
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from nibabel.orientations import io_orientation

from nnunet_pancext.io.images import only_thread_in_itk, read_image
from nnunet_pancext.io.nifti_scan import VoxelScan, scan_nifti
from nnunet_pancext.io.unreadable import UnreadableImage, as_unreadable
from nnunet_pancext.raw_cases.geometry import Geometry, geometry_of, read_geometry
from nnunet_pancext.raw_cases.image_scan import axes_of, scan_image, scan_pixels

# What damaged files make of nibabel.
DAMAGE = (
    *(OSError, EOFError, ValueError, zlib.error, np.linalg.LinAlgError),
    nib.filebasedimages.ImageFileError,
)
REPLACE = (
    "If it is damaged, download it again; if it is another kind of file, convert it, or correct "
    "overwrite_image_reader_writer in dataset.json."
)
LPS = np.diag([-1.0, -1.0, 1.0])  # NIfTI counts to the right and to the front, ITK to the left and back


@dataclass(frozen=True)
class Reader:
    """SimpleITK, as the conversions use it: volumes in NIfTI files, slices in PNG.

    `name` is that of nnU-Net's class, in messages. Labels are read with `is_label`.
    """

    name: str = "SimpleITKIO"

    def axes_of(self, path: Path) -> tuple[int, ...]:
        """Return the numbers of axes that an image may have."""
        return axes_of(path)

    def remedy_for_axes(self, path: Path) -> str:
        """Return what to do about an image with another number of axes."""
        return (
            f"Extract the one {self.axes_of(path)[-1]}D image that belongs to the case, or remove the case."
        )

    def scan(self, path: Path, *, is_label: bool) -> VoxelScan:
        """Read all voxels; a label's values are collected. Raises UnreadableImage."""
        return scan_image(path, collect_values=is_label)

    def geometry(self, path: Path, *, is_label: bool) -> Geometry:
        """Return the geometry; raises UnreadableImage, or RuntimeError as SimpleITK does."""
        return read_geometry(path)

    def channels(self, path: Path, *, is_label: bool) -> list[sitk.Image]:
        """Return an image for each channel; raises UnreadableImage, or RuntimeError as SimpleITK does."""
        return [read_image(path)]


@dataclass(frozen=True)
class SimpleITKReader(Reader):
    """nnU-Net's SimpleITKIO: images of two or three axes; a fourth are channels."""

    reorients: bool = False

    def axes_of(self, path: Path) -> tuple[int, ...]:
        return (2, 3)

    def scan(self, path: Path, *, is_label: bool) -> VoxelScan:
        scan = scan_image(path, collect_values=is_label, needs_gzip=False)  # ITK reads a .nii.gz that is none
        if len(scan.size) != 4:
            return scan
        try:
            channels = self.channels(path, is_label=is_label)
        except RuntimeError as error:
            raise as_unreadable(error, path) from error
        return _scan_channels(channels, is_label, missing=scan.non_finite_voxels)

    def geometry(self, path: Path, *, is_label: bool) -> Geometry:
        if self.reorients:
            return geometry_of(self.channels(path, is_label=is_label)[0])
        return read_geometry(path)

    def channels(self, path: Path, *, is_label: bool) -> list[sitk.Image]:
        image = read_image(path)
        if self.reorients and image.GetDimension() == 3:
            image = sitk.DICOMOrient(image, "RAS")
        if image.GetDimension() != 4:
            return [image]
        return [image[..., channel] for channel in range(image.GetSize()[3])]


@dataclass(frozen=True)
class NibabelReader(Reader):
    """nnU-Net's NibabelIO: volumes in NIfTI files, with any affine."""

    name: str = "NibabelIO"
    reorients: bool = False

    def axes_of(self, path: Path) -> tuple[int, ...]:
        return (3,)

    def remedy_for_axes(self, path: Path) -> str:
        return (
            f"nnU-Net's {self.name} reads volumes alone. "
            'Name "SimpleITKIO" as overwrite_image_reader_writer in dataset.json, or convert the images.'
        )

    def scan(self, path: Path, *, is_label: bool) -> VoxelScan:
        return scan_nifti(path, collect_values=is_label, by_nibabel=True)

    def geometry(self, path: Path, *, is_label: bool) -> Geometry:
        image = self._load(path)
        spacing_mm = np.array(image.header.get_zooms(), float)
        with np.errstate(divide="ignore", invalid="ignore"):
            direction = LPS @ image.affine[:3, :3] / spacing_mm
        return Geometry(
            size=tuple(image.shape),
            spacing_mm=tuple(spacing_mm.tolist()),
            origin_mm=tuple((LPS @ image.affine[:3, 3]).tolist()),
            direction=tuple(direction.ravel().tolist()),
        )

    def channels(self, path: Path, *, is_label: bool) -> list[sitk.Image]:
        """Return the volume; SimpleITK holds no sheared axes, so it has the nearest right-angled ones."""
        geometry = self.geometry(path, is_label=is_label)
        if not geometry.is_finite:
            raise UnreadableImage("has NaN or infinity in the affine of its header")
        loaded = self._load(path)
        if loaded.get_data_dtype().kind not in "iuf":
            raise UnreadableImage("has voxels other than plain numbers", "Save it as int16 or float32.")
        try:
            voxels = np.asarray(loaded.get_fdata(caching="unchanged"), np.float32)
        except DAMAGE as error:
            raise UnreadableImage(f"cannot be read by nibabel ({error})") from error
        voxels[~np.isfinite(voxels)] = 0  # as SimpleITK does; the scan has counted them
        image = sitk.GetImageFromArray(np.ascontiguousarray(voxels.T))
        left, _, right = np.linalg.svd(np.reshape(geometry.direction, (3, 3)))
        image.SetSpacing(geometry.spacing_mm)
        image.SetOrigin(geometry.origin_mm)
        image.SetDirection((left @ right).ravel().tolist())
        return [image]

    def _load(self, path: Path) -> Any:
        """Return nibabel's image, typed `Any` as its own types are."""
        try:
            image: Any = nib.load(path)
            if self.reorients and image.ndim == 3:
                with np.errstate(invalid="ignore"):
                    image = image.as_reoriented(io_orientation(image.affine))
        except DAMAGE as error:
            raise UnreadableImage(f"cannot be read by nibabel ({error})") from error
        if image.ndim != 3:
            raise UnreadableImage(f"has {image.ndim} axes, nnU-Net's {self.name} reads 3")
        return image


@dataclass(frozen=True)
class ClassReader(Reader):
    """Any other reader class of nnU-Net, run itself: 2D images with colours, 3D TIFF, or a user's own."""

    reader_class: Any = None

    def axes_of(self, path: Path) -> tuple[int, ...]:
        return (2, 3)

    def scan(self, path: Path, *, is_label: bool) -> VoxelScan:
        return _scan_channels(self.channels(path, is_label=is_label), is_label)

    def geometry(self, path: Path, *, is_label: bool) -> Geometry:
        voxels, spacing_mm = self._read(path, is_label=is_label)
        return _without_header(voxels[0], spacing_mm)[1]

    def channels(self, path: Path, *, is_label: bool) -> list[sitk.Image]:
        voxels, spacing_mm = self._read(path, is_label=is_label)
        return [_without_header(channel, spacing_mm)[0] for channel in voxels]

    def _read(self, path: Path, *, is_label: bool) -> tuple[np.ndarray, tuple[float, ...]]:
        """Return voxels (channel, z, y, x) and the spacing (x, y, z)."""
        with only_thread_in_itk(), redirect_stdout(io.StringIO()):
            try:
                reader = self.reader_class()
                read = reader.read_seg(str(path)) if is_label else reader.read_images((str(path),))
            except Exception as error:  # of whatever library the class uses
                reason = str(error).strip().splitlines()
                why = reason[-1] if reason else type(error).__name__
                raise UnreadableImage(f"cannot be read by nnU-Net's {self.name} ({why})", REPLACE) from error
        voxels, properties = read
        return voxels, tuple(float(step) for step in properties["spacing"])[::-1]


def _without_header(channel: np.ndarray, spacing_mm: tuple[float, ...]) -> tuple[sitk.Image, Geometry]:
    """Return a channel (z, y, x) as an image, of two axes where there is one slice, and its geometry."""
    voxels = channel[0] if len(channel) == 1 else channel
    image = sitk.GetImageFromArray(np.ascontiguousarray(voxels))
    image.SetSpacing(spacing_mm[: voxels.ndim])
    has_spacing = any(step != 1 for step in spacing_mm[: voxels.ndim])
    return image, geometry_of(image, has_spacing=has_spacing)


def _scan_channels(channels: list[sitk.Image], is_label: bool, *, missing: int = 0) -> VoxelScan:
    """Return the scan of the first channel with those of the others; `missing` voxels were not finite."""
    first, *others = (scan_pixels(channel, collect_values=is_label) for channel in channels)
    return replace(first, further=tuple(others), non_finite_voxels=max(first.non_finite_voxels, missing))
