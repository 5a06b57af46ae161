"""A label map as a DICOM Segmentation on the grid of the images that it was predicted from."""

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

from nnunet_pancext.dicom_output.colours import SEGMENT_COLOURS, cielab_of
from nnunet_pancext.dicom_output.decoded import require_same
from nnunet_pancext.dicom_output.snomed import SegmentCode
from nnunet_pancext.dicom_output.source_images import SourceImages, read_source_images
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import atomic_path
from nnunet_pancext.raw_cases.geometry import Geometry
from nnunet_pancext.version import __version__

PACKAGE = "nnunet_pancext"
INSTALL = 'pip install "nnunet-pancext[dicom]"'
EMPTY_FRAMES = ("keep", "omit")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")  # of CID 7162
SERIES_NUMBER = 1000  # far from those of scanners
LONGEST = 64  # characters of DICOM's LO
DECIMALS = 6  # of distances in mm; a number may have 16 characters


@dataclass(frozen=True, kw_only=True)
class SegmentingModel:
    """What a segmentation says of the model that made it; `sha256` is that of its checkpoints."""

    name: str
    sha256: str
    version: str = __version__


def write_segmentation(
    target: Path,
    label_map: NDArray[np.integer[Any]],
    *,
    files: Sequence[Path],
    geometry: Geometry,
    labels: Mapping[str, int | Sequence[int]],
    codes: Mapping[str, SegmentCode],
    model: SegmentingModel,
    empty_frames: str = "keep",
) -> None:
    """Write a label map (slice, row, column) as a DICOM Segmentation, atomically.

    `files` are the images in the order of the slices, or the one multi-frame image; `geometry` is the grid
    of the label map. Each of `codes` becomes a segment, also one that nothing was found of; `labels` has its
    value or, for a region, its values. With `empty_frames` "omit", frames without a voxel are left out,
    unless all are empty.

    The object and its series get new UIDs: two runs make two objects, which differ in their dates at least,
    and DICOM allows one UID no second content. The tracking UID of a segment, in contrast, is the same
    whenever the same model segments the same series.

    What was written is decoded again, without highdicom, and compared.

    Raises:
        PancextError: highdicom is missing; the images cannot be referenced or lie elsewhere; or the file does
            not hold the label map, and was removed.
    """
    try:
        import highdicom  # noqa: F401
    except ImportError as error:
        raise PancextError(f"DICOM-SEG needs highdicom. Install it with {INSTALL}.") from error
    if empty_frames not in EMPTY_FRAMES:
        raise PancextError(f"--empty-frames must be one of {', '.join(EMPTY_FRAMES)}, got {empty_frames!r}.")
    if label_map.shape != geometry.size[::-1]:
        raise PancextError(f"The label map has the shape {label_map.shape}, its grid {geometry.size[::-1]}.")
    if not codes:
        raise PancextError("A DICOM-SEG needs at least one segment, but the model has no label.")
    source = read_source_images(files, geometry=geometry)
    values = {name: _values(labels[name]) for name in codes}
    segments = _segments(label_map, values=list(values.values()))
    may_omit = empty_frames == "omit" and bool(segments.any())
    try:
        segmentation = _segmentation(
            segments[list(source.slices)],
            source=source,
            codes=codes,
            model=model,
            spacing_mm=geometry.spacing_mm[2],
            omit_empty_frames=may_omit,
        )
    except ValueError as error:
        raise PancextError(
            f"No DICOM-SEG of these images: highdicom refuses them ({error}). Report this; the label map is "
            "not affected."
        ) from error
    with atomic_path(target) as partial:
        segmentation.save_as(partial)
        require_same(
            partial,
            label_map,
            geometry=geometry,
            values=values,
            source=source,
            may_omit=may_omit,
            name=target.name,
        )


def _values(value: int | Sequence[int]) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else tuple(value)


def _segments(label_map: NDArray[Any], *, values: Sequence[tuple[int, ...]]) -> NDArray[Any]:
    """Return numbers of segments from 1, or masks in a last axis where segments overlap."""
    every = [value for several in values for value in several]
    if len(every) > len(set(every)):
        masks = np.empty((*label_map.shape, len(values)), np.uint8)
        for of_slice, labels in zip(masks, label_map, strict=True):
            of_slice[:] = np.stack([np.isin(labels, several) for several in values], axis=-1)
        return masks
    # Slice by slice, since indices take 8 bytes per voxel.
    number_of = np.zeros(max(every) + 2, np.uint8 if len(values) < 256 else np.uint16)
    for number, several in enumerate(values, start=1):
        number_of[list(several)] = number
    segments = np.empty(label_map.shape, number_of.dtype)
    for of_slice, labels in zip(segments, label_map, strict=True):
        number_of.take(labels, mode="clip", out=of_slice)  # its last entry is that of larger values
    return segments


def _segmentation(
    frames: NDArray[Any],
    *,
    source: SourceImages,
    codes: Mapping[str, SegmentCode],
    model: SegmentingModel,
    spacing_mm: float,
    omit_empty_frames: bool,
) -> Any:
    """Return the object, highdicom's Segmentation; `frames` are in the order of the source's."""
    import highdicom

    segmentation = highdicom.seg.Segmentation(
        source_images=source.headers,
        pixel_array=frames,
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _description(number, name, code, model=model, source=source)
            for number, (name, code) in enumerate(codes.items(), start=1)
        ],
        pixel_measures=highdicom.PixelMeasuresSequence(
            pixel_spacing=source.pixel_spacing_mm,
            slice_thickness=round(source.slice_thickness_mm, DECIMALS),
            spacing_between_slices=round(spacing_mm, DECIMALS),
        ),
        series_instance_uid=generate_uid(prefix=None),
        sop_instance_uid=generate_uid(prefix=None),
        series_number=SERIES_NUMBER,
        instance_number=1,
        series_description=f"Segmentation by {PACKAGE}",
        manufacturer=PACKAGE,
        manufacturer_model_name=_text(model.name),
        software_versions=f"{PACKAGE} {__version__}",
        device_serial_number=_text(model.sha256),
        content_label="SEGMENTATION",
        content_description=_text(f"Predicted by {model.name}"),
        omit_empty_frames=omit_empty_frames,
    )
    segmentation.SpecificCharacterSet = "ISO_IR 192"  # UTF-8, whatever that of the images is
    segmentation.update(source.patient)
    return segmentation


def _description(
    number: int, name: str, code: SegmentCode, *, model: SegmentingModel, source: SourceImages
) -> Any:
    """Return the item of the segment sequence, highdicom's SegmentDescription."""
    import highdicom

    series = str(source.headers[0].SeriesInstanceUID)
    tracking = uuid.uuid5(uuid.NAMESPACE_OID, "/".join((series, PACKAGE, model.sha256, name)))
    description = highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=_text(name),
        segmented_property_category=code.category,
        segmented_property_type=code.type,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=_text(model.name),
            family=ARTIFICIAL_INTELLIGENCE,
            version=_text(model.version),
            source=PACKAGE,
            parameters={"sha256": model.sha256},
        ),
        tracking_uid=f"2.25.{tracking.int}",
        tracking_id=_text(f"{PACKAGE} {name}"),
        anatomic_regions=None if code.region is None else [code.region],
    )
    if code.modifier is not None:
        modifier = highdicom.sr.CodedConcept(*code.modifier[:3])
        description.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [
            modifier
        ]
    colour = code.colour or SEGMENT_COLOURS[(number - 1) % len(SEGMENT_COLOURS)]
    description.RecommendedDisplayCIELabValue = cielab_of(colour)
    return description


def _text(text: str) -> str:
    """Return a text without the characters that DICOM's LO cannot hold, cut to its length."""
    return re.sub(r"[\\\x00-\x1f\x7f]", " ", text)[:LONGEST].strip() or "unknown"
