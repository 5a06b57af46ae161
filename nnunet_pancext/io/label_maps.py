"""Reading images and label maps, and checking that two of them share one grid."""

from itertools import product
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.images import read_image
from nnunet_pancext.io.label_values import fractional, in_single_precision, listed
from nnunet_pancext.io.nifti_scan import count_non_finite
from nnunet_pancext.io.unreadable import NIFTI, UnreadableImage, missing_file, unreadable_by_itk

# Headers store positions in single precision; a tenth of a voxel is far above its rounding
# and far below any shift that would change a score.
GRID_TOLERANCE_VOXELS = 0.1


def read_volume(path: Path) -> sitk.Image:
    """Read a three-dimensional single-channel image.

    Raises:
        PancextError: the file is missing, cannot be read, or is not such an image.
    """
    return _read(path)[0]


def read_label_map(path: Path) -> sitk.Image:
    """Read a label map: an image as `read_volume` returns, with whole numbers as values, read as by nnU-Net.

    Raises:
        PancextError: as `read_volume`, or a value is not a whole number.
    """
    image, non_finite = _read(path)
    if image.GetPixelID() == sitk.sitkFloat64:
        single = sitk.GetImageFromArray(in_single_precision(sitk.GetArrayViewFromImage(image)))
        single.CopyInformation(image)
        image = single
    values = sitk.GetArrayViewFromImage(image)
    if np.issubdtype(values.dtype, np.floating):
        non_finite = max(non_finite, values.size - int(np.count_nonzero(np.isfinite(values))))
    if non_finite:
        raise PancextError(
            f"The label map {path} holds {non_finite} voxel{'' if non_finite == 1 else 's'} of NaN or "
            "infinity, which are not labels. Predict or write it again."
        )
    fractions = fractional(values)
    if fractions.size:
        raise PancextError(
            f"The label map {path} holds values that are not whole numbers: {listed(fractions.tolist())}. "
            "Give label values, not probabilities, and resample label maps with nearest neighbour."
        )
    return image


def foreground_labels(labels: dict[str, int]) -> dict[str, int]:
    """Return the labels without background (value 0), in the order of their values.

    Raises:
        PancextError: there is none, or one is a region (several values) or nnU-Net's 'ignore' label.
    """
    kept = {name: value for name, value in labels.items() if value != 0}
    for name, value in kept.items():
        if name == "ignore" or not isinstance(value, int):
            raise PancextError(
                f"Label {name!r} = {value} cannot be drawn: a contour needs a single label value. "
                "Give each label to draw a name and one value."
            )
    if not kept:
        raise PancextError(f"No foreground label among {labels}. Declare at least one value above 0.")
    return dict(sorted(kept.items(), key=lambda item: item[1]))


def require_same_grid(image: sitk.Image, reference: sitk.Image, *, what: str, remedy: str) -> None:
    """Check that voxels of equal index lie at the same place, to a tenth of a voxel.

    Raises:
        PancextError: they do not; the message opens with `what` and ends with `remedy`.
    """
    if image.GetSize() != reference.GetSize():
        raise PancextError(f"{what}: size {image.GetSize()} against {reference.GetSize()} voxels. {remedy}")
    corners = list(product(*((0, size - 1) for size in image.GetSize())))
    places_mm = [[grid.TransformIndexToPhysicalPoint(c) for c in corners] for grid in (image, reference)]
    distance_mm = float(np.abs(np.diff(places_mm, axis=0)).max())
    if distance_mm > GRID_TOLERANCE_VOXELS * min(reference.GetSpacing()):
        raise PancextError(
            f"{what}: voxels of equal index lie up to {distance_mm:.3g} mm apart "
            f"(spacing {_rounded(image.GetSpacing())} against {_rounded(reference.GetSpacing())} mm, "
            f"origin {_rounded(image.GetOrigin())} against {_rounded(reference.GetOrigin())} mm, "
            f"direction {_rounded(image.GetDirection())} against {_rounded(reference.GetDirection())}). "
            f"{remedy}"
        )


def _read(path: Path) -> tuple[sitk.Image, int]:
    """Return the image, and the number of NaN or infinite voxels in the file.

    ITK reads a truncated NIfTI file without an error, and replaces these voxels by zero.
    """
    if not path.is_file():
        reason = missing_file(path)
        if reason.remedy:
            raise PancextError(f"The image {path} {reason}. {reason.remedy}")
        raise PancextError(f"There is no image at {path}. Check the folder and the file ending.")
    try:
        non_finite = count_non_finite(path) if path.name.lower().endswith(NIFTI) else 0
        image = read_image(path)
    except (RuntimeError, UnreadableImage) as error:
        reason = error if isinstance(error, UnreadableImage) else unreadable_by_itk(error, path)
        remedy = reason.remedy or "Write or copy it again."
        raise PancextError(f"Cannot read the image {path} ({reason}). {remedy}") from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise PancextError(
            f"{path} has {image.GetDimension()} dimensions and {image.GetNumberOfComponentsPerPixel()} "
            "values per voxel; expected 3 dimensions and 1 value per voxel. Give one volume per file."
        )
    return image, non_finite


def _rounded(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in values) + ")"


def find_cases(folder: Path, file_ending: str) -> set[str]:
    """Return the cases of a folder of label maps; empty if the folder does not exist."""
    return {
        path.name.removesuffix(file_ending)
        for path in (folder.iterdir() if folder.is_dir() else ())
        if path.name.endswith(file_ending) and not path.name.startswith(".")
    }
