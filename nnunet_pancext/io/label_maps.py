"""Reading images and label maps, and checking that two of them share one grid."""

from collections.abc import Iterable
from itertools import product
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.images import SLICES, has_geometry, read_header, read_image
from nnunet_pancext.io.label_values import fractional, in_single_precision, listed
from nnunet_pancext.io.nifti_scan import count_non_finite
from nnunet_pancext.io.unreadable import NIFTI, UnreadableImage, as_unreadable, missing_file

# Headers store positions in single precision; a tenth of a voxel is far above its rounding
# and far below any shift that would change a score.
GRID_TOLERANCE_VOXELS = 0.1
FLAT, NO_SPACING = "pancext_flat", "pancext_no_spacing"  # marks in an image's metadata


def read_volume(path: Path) -> sitk.Image:
    """Read an image with one value per voxel; colours become grey, and a 2D image a volume of one slice.

    `is_flat` and `has_spacing` distinguish what its file lacks.

    Raises:
        PancextError: the file is missing, cannot be read, or is not such an image.
    """
    return _read(path, colours=True)[0]


def is_flat(volume: sitk.Image) -> bool:
    """Return whether the file has two dimensions: one slice, without thickness or anatomical directions."""
    return volume.HasMetaDataKey(FLAT)


def has_spacing(volume: sitk.Image) -> bool:
    """Return whether the file's format stores a spacing; else that of the volume is 1."""
    return not volume.HasMetaDataKey(NO_SPACING)


def on_grid_of(reference: sitk.Image, array: NDArray[np.generic]) -> sitk.Image:
    """Return an array (slice, row, column) as a volume on the grid of `reference`, flat where that is."""
    volume = sitk.GetImageFromArray(np.ascontiguousarray(array))
    volume.CopyInformation(reference)
    for mark in (FLAT, NO_SPACING):
        if reference.HasMetaDataKey(mark):
            volume.SetMetaData(mark, "")
    return volume


def require_one_dimension(files: Iterable[Path]) -> None:
    """Raise PancextError if some files are 2D and others 3D. A file without a readable header is skipped."""
    first: dict[int, Path] = {}
    for file in files:
        try:
            is_slice = file.name.lower().endswith(SLICES)  # by far the most files where there are many
            first.setdefault(2 if is_slice else read_header(file).GetDimension(), file)
        except RuntimeError:
            continue
        if {2, 3} <= first.keys():
            raise PancextError(
                f"{first[2]} has 2 dimensions and {first[3]} has 3. Slices and volumes are not scored "
                "together: keep them in folders of their own."
            )


def read_label_map(path: Path) -> sitk.Image:
    """Read a label map: an image as `read_volume` returns, with whole numbers as values, read as by nnU-Net.

    Raises:
        PancextError: as `read_volume`, or a value is not a whole number.
    """
    image, non_finite = _read(path, colours=False)
    if image.GetPixelID() == sitk.sitkFloat64:
        single = sitk.GetImageFromArray(in_single_precision(sitk.GetArrayViewFromImage(image)))
        single.CopyInformation(image)
        for mark in image.GetMetaDataKeys():
            single.SetMetaData(mark, image.GetMetaData(mark))
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
    if is_flat(image) != is_flat(reference):
        first, second = (2 if is_flat(grid) else 3 for grid in (image, reference))
        raise PancextError(f"{what}: {first} against {second} dimensions. {remedy}")
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


def _read(path: Path, *, colours: bool) -> tuple[sitk.Image, int]:
    """Return the image, and the number of NaN or infinite voxels in the file; refuse `colours` if not True.

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
        reason = as_unreadable(error, path)
        remedy = reason.remedy or "Write or copy it again."
        raise PancextError(f"Cannot read the image {path} ({reason}). {remedy}") from error
    image = _grey(image, colours=colours)
    dimensions = image.GetDimension()
    if dimensions not in (2, 3) or image.GetNumberOfComponentsPerPixel() != 1:
        raise PancextError(
            f"{path} has {dimensions} dimensions and {image.GetNumberOfComponentsPerPixel()} values per "
            "voxel; expected 2 or 3 dimensions and 1 value per voxel. Give one slice or volume per file."
        )
    marks = [FLAT] if dimensions == 2 else []
    if not has_geometry(path):  # ITK may invent one, from the resolution in dots per inch
        image = sitk.GetImageFromArray(sitk.GetArrayViewFromImage(image))
        marks.append(NO_SPACING)
    if dimensions == 2:
        image = sitk.JoinSeries(image)
    for mark in marks:
        image.SetMetaData(mark, "")
    return image, non_finite


def _grey(image: sitk.Image, *, colours: bool) -> sitk.Image:
    """Return a 2D image of equal channels (ITK reads a palette so), or of `colours`, with one channel."""
    if image.GetDimension() != 2 or image.GetNumberOfComponentsPerPixel() not in (3, 4):
        return image
    channels = sitk.GetArrayFromImage(image)[..., :3]  # without opacity
    is_grey = (channels == channels[..., :1]).all()
    if not is_grey and not colours:
        return image
    grey = sitk.GetImageFromArray(
        np.ascontiguousarray(channels[..., 0]) if is_grey else channels.mean(axis=-1)
    )
    grey.CopyInformation(image)
    return grey


def _rounded(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in values) + ")"


def find_cases(folder: Path, file_ending: str) -> set[str]:
    """Return the cases of a folder of label maps; empty if the folder does not exist."""
    return {
        path.name.removesuffix(file_ending)
        for path in (folder.iterdir() if folder.is_dir() else ())
        if path.name.endswith(file_ending) and not path.name.startswith(".")
    }
