"""Writing images whole or not at all."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.disk import free_bytes, megabytes, write_errors_as_pancext
from nnunet_pancext.io.files import atomic_path
from nnunet_pancext.io.images import read_image, write_compressed


def with_geometry(voxels: np.ndarray, image: sitk.Image) -> sitk.Image:
    """Return the voxels as an image with the geometry of another."""
    result = sitk.GetImageFromArray(np.ascontiguousarray(voxels))
    result.CopyInformation(image)
    return result


def write_image(image: sitk.Image, target: Path, *, read_back: bool = True) -> None:
    """Write a compressed image, atomically, creating its folder.

    It is read back, since ITK may ignore a full disk and leave a truncated file; unnecessary for a file that
    is scanned afterwards.
    """
    size = image.GetNumberOfPixels() * image.GetSizeOfPixelComponent()
    with write_errors_as_pancext(target, needed_bytes=size):
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as partial:
            try:
                write_compressed(image, partial)
                written = read_image(partial) if read_back else image
                if not np.array_equal(sitk.GetArrayViewFromImage(written), sitk.GetArrayViewFromImage(image)):
                    raise RuntimeError("the file differs from the image")
            except RuntimeError as error:
                raise PancextError(
                    f"could not write {target} whole; {megabytes(free_bytes(target))} are free on its disk. "
                    "Free some space and run the same command again (it continues where it stopped)."
                ) from error
