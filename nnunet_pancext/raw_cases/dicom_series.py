"""One CT volume from the DICOM files of a series: ordered by position, checked, in HU."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from pydicom import Dataset, dcmread
from pydicom.uid import UncompressedTransferSyntaxes

from nnunet_pancext.io.images import DICOM_FORMAT, itk_reason, only_thread_in_itk
from nnunet_pancext.raw_cases.case_checks import FETCH_AGAIN
from nnunet_pancext.raw_cases.dicom_geometry import check_spacing, require_no_tilt, require_one_grid
from nnunet_pancext.raw_cases.dicom_search import CtSeries
from nnunet_pancext.raw_cases.dicom_slices import RESCALE_TAGS, BadSeries, lacking, require_ct_image, slice_of
from nnunet_pancext.raw_cases.geometry import Geometry
from nnunet_pancext.raw_cases.source import name_of

MOST_NAMES = 3  # of damaged files in a message


@dataclass(frozen=True, kw_only=True)
class DicomSeries:
    """The files of one volume in the order of their positions, and its geometry.

    `warnings` are messages by kind.
    """

    files: tuple[Path, ...]
    geometry: Geometry
    is_stored_alike: bool  # all slices have the same number type and rescaling to HU
    warnings: Mapping[str, str]


def open_series(series: CtSeries, *, root: Path) -> DicomSeries:
    """Check the headers of a series and return the volume they form.

    Messages name files relative to `root`.

    Raises:
        BadSeries: a header is incomplete or gives no HU; slices differ in size, spacing or orientation, share
            a position, are missing, uneven or tilted.
    """
    for path, header in series.headers.items():
        require_ct_image(header, path, root=root)
    _require_rescaling(series.headers, root=root)
    slices = [slice_of(header, path, root=root) for path, header in series.headers.items()]
    require_one_grid(slices, root=root)
    if len(slices) < 2:
        only = f"{name_of(slices[0].path, root)} is the only slice"
        raise BadSeries("too few slices", f"{only}. {FETCH_AGAIN}")
    first = slices[0]
    row, column = np.reshape(first.orientation, (2, 3))
    normal = first.normal
    slices.sort(key=lambda slice_: float(np.dot(slice_.position_mm, normal)))
    along_mm = [float(np.dot(slice_.position_mm, normal)) for slice_ in slices]
    warnings = check_spacing(slices, along_mm, root=root)
    require_no_tilt(slices, normal)
    return DicomSeries(
        files=tuple(slice_.path for slice_ in slices),
        geometry=Geometry(
            size=(*first.size, len(slices)),
            spacing_mm=(*first.spacing_mm, (along_mm[-1] - along_mm[0]) / (len(slices) - 1)),
            origin_mm=slices[0].position_mm,
            direction=tuple(np.stack([row, column, normal], axis=1).ravel().tolist()),
        ),
        is_stored_alike=len({(slice_.rescaling, slice_.stored) for slice_ in slices}) == 1,
        warnings=warnings,
    )


def _require_rescaling(headers: Mapping[Path, Dataset], *, root: Path) -> None:
    """Raise BadSeries where a slice does not say how its values become HU; without it they would be wrong."""
    missing = {path: tags for path, header in headers.items() if (tags := lacking(header, RESCALE_TAGS))}
    if not missing:
        return
    path = min(missing)
    raise BadSeries(
        "no rescaling to HU",
        f"{name_of(path, root)} lacks {' and '.join(missing[path])}; {len(missing)} of {len(headers)} slices "
        "lack one or both, so their HU are unknown. Export or download the series again with both tags, or "
        "remove the case. Only if the stored values are HU, write slope 1 and intercept 0 into every slice.",
    )


def read_series(series: DicomSeries, *, root: Path) -> sitk.Image:
    """Return the volume in HU, with rescale slope and intercept applied per slice.

    Messages name files relative to `root`.

    Raises:
        BadSeries: the pixels of a file cannot be read.
    """
    reader = sitk.ImageSeriesReader()
    reader.SetImageIO(DICOM_FORMAT)
    reader.SetFileNames([str(path) for path in series.files])
    if not series.is_stored_alike:
        # ITK would force all slices into the number type of the first.
        reader.SetOutputPixelType(sitk.sitkFloat64)
    try:
        with only_thread_in_itk():
            volume = reader.Execute()
    except RuntimeError as error:
        raise BadSeries("unreadable slice", _damage(series.files, error, root=root)) from error
    if volume.GetSize() != series.geometry.size:
        sizes = f"size {volume.GetSize()}, by the headers {series.geometry.size}"
        raise BadSeries("unreadable slice", f"the pixels have {sizes}. {FETCH_AGAIN}")
    if not series.is_stored_alike:
        volume = narrowed(volume)
    volume.SetSpacing(series.geometry.spacing_mm)
    volume.SetOrigin(series.geometry.origin_mm)
    volume.SetDirection(series.geometry.direction)
    for key in volume.GetMetaDataKeys():
        volume.EraseMetaData(key)
    return volume


def _damage(files: Sequence[Path], error: RuntimeError, *, root: Path) -> str:
    """Say which of the files of a series that cannot be read is damaged, and how."""
    damaged = [(path, reason) for path in files if (reason := _reason_if_unreadable(path))]
    if not damaged:
        return f"the pixels of {files[0].parent.name} cannot be read ({itk_reason(error)}). {FETCH_AGAIN}"
    path, reason = damaged[0]
    others = ", ".join(other.name for other, _ in damaged[1 : MOST_NAMES + 1])
    more = f" {len(damaged) - 1} more cannot be read: {others}." if others else ""
    return f"the pixels of {name_of(path, root)} cannot be read: {reason}{more}"


def _reason_if_unreadable(path: Path) -> str:
    """Return why the pixels of one file cannot be read and what to do; empty if they can."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO(DICOM_FORMAT)
    reader.SetFileName(str(path))
    try:
        with only_thread_in_itk():
            reader.Execute()
    except RuntimeError as error:
        damaged = f"the file is damaged or cut short ({itk_reason(error)}). {FETCH_AGAIN}"
        try:
            content = dcmread(path, force=True, specific_tags=["PixelData"])
        except Exception:  # pydicom has no common error class
            return damaged
        syntax = content.file_meta.get("TransferSyntaxUID")
        if "PixelData" not in content:
            return f"the file holds none, or is cut short. {FETCH_AGAIN}"
        if syntax is None or syntax in UncompressedTransferSyntaxes:
            return damaged
        name = f"{syntax.name} ({syntax})" if syntax.name != syntax else f"the unknown syntax {syntax}"
        return (
            f"they are damaged, or SimpleITK cannot decode them. They are stored as {name}. "
            "Export the series without compression (Explicit VR Little Endian), or download the file again."
        )
    return ""


def narrowed(volume: sitk.Image) -> sitk.Image:
    """Return the volume in the smallest of the usual number types that holds all its values exactly."""
    values = sitk.GetArrayViewFromImage(volume)
    for pixel_type in (sitk.sitkInt16, sitk.sitkInt32, sitk.sitkFloat32):
        narrow = sitk.Cast(volume, pixel_type)
        if np.array_equal(sitk.GetArrayViewFromImage(narrow), values):
            return narrow
    return volume
