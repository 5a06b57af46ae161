"""Writing the images and labels of an nnU-Net raw dataset."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.disk import free_bytes, megabytes, write_errors_as_pancext
from nnunet_pancext.io.files import atomic_path, link_or_copy
from nnunet_pancext.io.images import compress_file, read_image, write_compressed
from nnunet_pancext.io.label_values import in_single_precision


def case_files(case_id: str, *, subset: str, ending: str) -> tuple[str, str]:
    """Return the relative paths of a case's image and label; `subset` is 'Tr' or 'Ts'."""
    return f"images{subset}/{case_id}_0000{ending}", f"labels{subset}/{case_id}{ending}"


def place(source: Path, target: Path, *, may_link: bool = True) -> str:
    """Hard-link or copy a file unless it is there, creating its folder; return 'linked' or 'copied'."""
    if target.exists():
        return "linked" if target.samefile(source) else "copied"
    size = source.stat().st_size if source.exists() else None
    with write_errors_as_pancext(target, source=source, needed_bytes=size):
        target.parent.mkdir(parents=True, exist_ok=True)
        return link_or_copy(source, target, may_link=may_link)


def compress(source: Path, target: Path) -> None:
    """Write the compressed content of a .nii file to the .nii.gz `target` unless it is there."""
    if target.exists():
        return
    with write_errors_as_pancext(target, source=source):
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as partial:
            compress_file(source, partial)


def remap_label(source: Path, target: Path, *, mapping: Mapping[int, int]) -> None:
    """Write the label with mapped values as uint8, in the same geometry."""
    image = read_image(source)
    values = in_single_precision(sitk.GetArrayFromImage(image))
    mapped = np.zeros(values.shape, np.uint8)
    for old, new in mapping.items():
        mapped[values == old] = new
    write_image(with_geometry(mapped, image), target)


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
