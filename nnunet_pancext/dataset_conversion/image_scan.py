"""One look at an image file of any format that a dataset may have."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nnunet_pancext.image_io import read_image
from nnunet_pancext.nifti.scan import UnreadableImage, VoxelScan, scan_nifti

PNG = ".png"


def scan_image(path: Path, *, collect_values: bool) -> VoxelScan:
    """Return size, hash and values of a .nii.gz or a grey .png; UnreadableImage for one that is not whole."""
    if path.suffix.lower() == PNG:
        return scan_png(path, collect_values=collect_values)
    return scan_nifti(path, collect_values=collect_values)


def dimensions_of(path: Path) -> int:
    """Return how many axes an image of this format shall have."""
    return 2 if path.suffix.lower() == PNG else 3


def scan_png(path: Path, *, collect_values: bool) -> VoxelScan:
    """Return what is in a .png. Its size is that in x and y."""
    try:
        image = read_image(path)
    except RuntimeError as error:
        raise UnreadableImage("is no whole .png") from error
    if image.GetNumberOfComponentsPerPixel() != 1:
        colours = image.GetNumberOfComponentsPerPixel()
        raise UnreadableImage(f"has {colours} values per pixel; a grey picture has one")
    pixels = sitk.GetArrayViewFromImage(image)
    digest = hashlib.sha256(repr((image.GetSize(), pixels.dtype.str)).encode())
    digest.update(np.ascontiguousarray(pixels).tobytes())
    values = tuple(np.unique(pixels).astype(float).tolist()) if collect_values else ()
    return VoxelScan(size=image.GetSize(), voxel_hash=digest.hexdigest(), non_finite_voxels=0, values=values)
