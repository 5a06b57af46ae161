"""One CT volume from the DICOM files of a series: ordered by position, checked, in HU."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom import dcmread

from nnunet_pancext.io.images import DICOM_FORMAT, itk_reason, only_thread_in_itk
from nnunet_pancext.raw_cases.case_checks import FETCH_AGAIN
from nnunet_pancext.raw_cases.dicom_frames import slice_headers
from nnunet_pancext.raw_cases.dicom_geometry import check_spacing, require_no_tilt, require_one_grid
from nnunet_pancext.raw_cases.dicom_pixels import (
    is_compressed,
    remedy_of,
    require_all_pixels,
    stored_values,
    syntax_of,
)
from nnunet_pancext.raw_cases.dicom_search import CtSeries
from nnunet_pancext.raw_cases.dicom_slices import (
    RESCALE_TAGS,
    BadSeries,
    DicomSlice,
    SliceHeader,
    lacking,
    require_ct_image,
    slice_of,
)
from nnunet_pancext.raw_cases.geometry import Geometry
from nnunet_pancext.raw_cases.source import name_of

MOST_NAMES = 3  # of damaged files in a message
NUMBER_TYPES = (np.int16, np.int32, np.float32, np.float64)  # a volume has the first that holds it
IN_HU, UNSPECIFIED = ("", "HU"), "US"  # values of RescaleType, of which US is common in older images


@dataclass(frozen=True, kw_only=True)
class DicomSeries:
    """The slices of one volume in the order of their positions, and its geometry.

    `warnings` are messages by kind.
    """

    slices: tuple[DicomSlice, ...]
    geometry: Geometry
    warnings: Mapping[str, str]

    @property
    def files(self) -> tuple[Path, ...]:
        """The files, each once."""
        return tuple(dict.fromkeys(slice_.path for slice_ in self.slices))

    @property
    def has_frames(self) -> bool:
        """Whether slices are frames of a file."""
        return any(slice_.frame is not None for slice_ in self.slices)

    @property
    def is_stored_alike(self) -> bool:
        """Whether all slices have the same number type and rescaling to HU."""
        return len({(slice_.rescaling, slice_.stored) for slice_ in self.slices}) == 1


def open_series(series: CtSeries, *, root: Path) -> DicomSeries:
    """Check the headers of a series and return the volume they form.

    Messages name files relative to `root`.

    Raises:
        BadSeries: a header is incomplete or gives no HU; slices differ in size, spacing or orientation, share
            a position, are missing, uneven or tilted.
    """
    headers = [
        slice_header
        for path, header in series.headers.items()
        for slice_header in slice_headers(header, path, root=root)
    ]
    for slice_header in headers:
        require_ct_image(slice_header, root=root)
    _require_rescaling(headers, root=root)
    warnings = _check_unit(headers, root=root)
    slices = [slice_of(slice_header, root=root) for slice_header in headers]
    require_one_grid(slices, root=root)
    if len(slices) < 2:
        only = f"{slices[0].name(root)} is the only slice"
        raise BadSeries("too few slices", f"{only}. {FETCH_AGAIN}")
    first = slices[0]
    row, column = np.reshape(first.orientation, (2, 3))
    normal = first.normal
    slices.sort(key=lambda slice_: float(np.dot(slice_.position_mm, normal)))
    along_mm = [float(np.dot(slice_.position_mm, normal)) for slice_ in slices]
    warnings |= check_spacing(slices, along_mm, root=root)
    require_no_tilt(slices, normal)
    return DicomSeries(
        slices=tuple(slices),
        geometry=Geometry(
            size=(*first.size, len(slices)),
            spacing_mm=(*first.spacing_mm, (along_mm[-1] - along_mm[0]) / (len(slices) - 1)),
            origin_mm=slices[0].position_mm,
            direction=tuple(np.stack([row, column, normal], axis=1).ravel().tolist()),
        ),
        warnings=warnings,
    )


def _require_rescaling(headers: Sequence[SliceHeader], *, root: Path) -> None:
    """Raise BadSeries where a slice does not say how its values become HU; without it they would be wrong."""
    missing = [(header, tags) for header in headers if (tags := lacking(header.header, RESCALE_TAGS))]
    if not missing:
        return
    first, tags = min(missing, key=lambda pair: (pair[0].path, pair[0].frame or 0))
    raise BadSeries(
        "no rescaling to HU",
        f"{first.name(root)} lacks {' and '.join(tags)}; {len(missing)} of {len(headers)} slices "
        "lack one or both, so their HU are unknown. Export or download the series again with both tags, or "
        "remove the case. Only if the stored values are HU, write slope 1 and intercept 0 into every slice.",
    )


def _check_unit(headers: Sequence[SliceHeader], *, root: Path) -> dict[str, str]:
    """Return a warning where slices leave their unit open; BadSeries if it is another than HU."""
    units = [str(header.header.get("RescaleType") or "").strip().upper() for header in headers]
    for header, unit in zip(headers, units, strict=True):
        if unit not in (*IN_HU, UNSPECIFIED):
            message = f"{header.name(root)} holds values in {unit} (RescaleType) in place of HU."
            raise BadSeries("no rescaling to HU", f"{message} Give the series in HU.")
    if UNSPECIFIED not in units:
        return {}
    text = f"{units.count(UNSPECIFIED)} of {len(units)} slices leave the unit of their values open"
    return {"unspecified unit": f"{text} (RescaleType {UNSPECIFIED}); they count as HU."}


def read_series(series: DicomSeries, *, root: Path) -> sitk.Image:
    """Return the volume in HU, with rescale slope and intercept applied per slice.

    Messages name files relative to `root`.

    Raises:
        BadSeries: the pixels of a file cannot be read.
    """
    volume = _decode(series, root=root) if series.has_frames else _read_with_itk(series, root=root)
    if volume.GetSize() != series.geometry.size:
        sizes = f"size {volume.GetSize()}, by the headers {series.geometry.size}"
        raise BadSeries("unreadable slice", f"the pixels have {sizes}. {FETCH_AGAIN}")
    volume.SetSpacing(series.geometry.spacing_mm)
    volume.SetOrigin(series.geometry.origin_mm)
    volume.SetDirection(series.geometry.direction)
    for key in volume.GetMetaDataKeys():
        volume.EraseMetaData(key)
    return volume


def _read_with_itk(series: DicomSeries, *, root: Path) -> sitk.Image:
    """Return the volume as ITK reads it, or where it has no decoder for any slice, as pydicom does."""
    for path in series.files:
        require_all_pixels(path, root=root)
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
        damaged = {path: reason for path in series.files if (reason := _reason_if_unreadable(path))}
        if len(damaged) < len(series.files) or not all(is_compressed(syntax_of(path)) for path in damaged):
            raise BadSeries("unreadable slice", _damage(series.files, damaged, error, root=root)) from error
        return _decode(series, root=root)
    return volume if series.is_stored_alike else narrowed(volume)


def _decode(series: DicomSeries, *, root: Path) -> sitk.Image:
    """Return the volume as pydicom decodes it, without geometry."""
    volume: NDArray[Any] = np.zeros(series.geometry.size[::-1], NUMBER_TYPES[0])
    numbers: dict[Path, list[int]] = defaultdict(list)
    for number, slice_ in enumerate(series.slices):
        numbers[slice_.path].append(number)
    for path, of_file in numbers.items():
        stored = stored_values(path, root=root)
        for number in of_file:
            slice_ = series.slices[number]
            frame = slice_.frame or 0
            if frame >= len(stored) or stored.shape[1:] != volume.shape[1:]:
                sizes = f"{' x '.join(map(str, stored.shape))}, by the header {slice_.size}"
                name = slice_.name(root)
                raise BadSeries("unreadable slice", f"the pixels of {name} have {sizes}. {FETCH_AGAIN}")
            slope, intercept = slice_.rescaling
            values = stored[frame] * slope + intercept
            volume = _wide_enough(volume, values)
            volume[number] = values
    return sitk.GetImageFromArray(volume)


def _wide_enough(volume: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
    """Return the volume, in a wider number type if it needs one to hold `values` exactly too."""
    for number_type in NUMBER_TYPES[NUMBER_TYPES.index(volume.dtype.type) :]:
        if _is_exact(values, number_type) and _is_exact(volume, number_type):
            break
    return volume.astype(number_type, copy=False)


def _is_exact(values: NDArray[Any], number_type: type) -> bool:
    """Whether the number type holds all values."""
    with np.errstate(invalid="ignore"):  # of values beyond its range
        return values.dtype == number_type or np.array_equal(values.astype(number_type), values)


def _damage(files: Sequence[Path], damaged: Mapping[Path, str], error: RuntimeError, *, root: Path) -> str:
    """Say which of the files of a series that cannot be read is damaged, and how."""
    if not damaged:
        return f"the pixels of {files[0].parent.name} cannot be read ({itk_reason(error)}). {FETCH_AGAIN}"
    (path, reason), *further = damaged.items()
    others = ", ".join(other.name for other, _ in further[:MOST_NAMES])
    more = f" {len(further)} more cannot be read: {others}." if others else ""
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
        if "PixelData" not in content:
            return f"the file holds none, or is cut short. {FETCH_AGAIN}"
        syntax = content.file_meta.get("TransferSyntaxUID", "")
        if not is_compressed(syntax):
            return damaged
        return f"they are damaged, or SimpleITK cannot decode them. {remedy_of(syntax)}"
    return ""


def narrowed(volume: sitk.Image) -> sitk.Image:
    """Return the volume in the smallest of the usual number types that holds all its values exactly."""
    values = sitk.GetArrayViewFromImage(volume)
    for pixel_type in (sitk.sitkInt16, sitk.sitkInt32, sitk.sitkFloat32):
        narrow = sitk.Cast(volume, pixel_type)
        if np.array_equal(sitk.GetArrayViewFromImage(narrow), values):
            return narrow
    return volume
