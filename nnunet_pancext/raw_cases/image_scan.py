"""Reading all voxels of an image file in any format that a dataset may have."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nnunet_pancext.io.images import PAGES, SLICES, read_image
from nnunet_pancext.io.label_values import in_single_precision
from nnunet_pancext.io.nifti_scan import PIECE_VOXELS, VoxelScan, scan_nifti
from nnunet_pancext.io.unreadable import NIFTI, UnreadableImage, as_unreadable
from nnunet_pancext.io.voxel_hash import VoxelHash

PNG = ".png"


def axes_of(path: Path) -> tuple[int, ...]:
    """Return the numbers of axes that an image of this format may have."""
    ending = path.suffix.lower()
    return (2,) if ending in SLICES else (2, 3) if ending in PAGES else (3,)


def scan_image(path: Path, *, collect_values: bool, needs_gzip: bool = True) -> VoxelScan:
    """Return what `scan_nifti` does, for an image of any format that SimpleITK reads."""
    if path.name.lower().endswith(NIFTI):
        return scan_nifti(path, collect_values=collect_values, needs_gzip=needs_gzip)
    try:
        image = read_image(path)
    except RuntimeError as error:
        raise as_unreadable(error, path) from error
    channels = image.GetNumberOfComponentsPerPixel()
    if channels != 1:
        raise UnreadableImage(
            f"has {channels} values per pixel; a greyscale image has one",
            "Save it in grey values, a label map with one number per class.",
        )
    return scan_pixels(image, collect_values=collect_values)


def scan_pixels(image: sitk.Image, *, collect_values: bool) -> VoxelScan:
    """Return what `scan_nifti` does, for an image that was read."""
    pixels = sitk.GetArrayViewFromImage(image).ravel()
    finite = np.isfinite(pixels)
    kept = pixels if finite.all() else pixels[finite]
    voxels = VoxelHash(image.GetSize())
    if not collect_values:
        for start in range(0, pixels.size, PIECE_VOXELS):
            voxels.add(pixels[start : start + PIECE_VOXELS])
    return VoxelScan(
        size=image.GetSize(),
        voxel_hash=voxels.result(),
        non_finite_voxels=int(pixels.size - np.count_nonzero(finite)),
        values=tuple(np.unique(in_single_precision(kept)).astype(float).tolist()) if collect_values else (),
        lowest=float(kept.min()) if kept.size else np.inf,
        highest=float(kept.max()) if kept.size else -np.inf,
    )
