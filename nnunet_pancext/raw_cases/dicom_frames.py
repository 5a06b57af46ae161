"""The frames of an enhanced CT image, each with a header as a file of its own would have."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydicom import Dataset

from nnunet_pancext.raw_cases.dicom_slices import (
    FRAME_TAGS,
    POSITION_TAGS,
    RESCALE_TAGS,
    BadSeries,
    SliceHeader,
    num_frames,
)
from nnunet_pancext.raw_cases.source import name_of

SHARED, PER_FRAME = FRAME_TAGS
OF_FILE = ("Rows", "Columns", "BitsStored", "PixelRepresentation", "PhotometricInterpretation")
# Functional groups and what they hold of a slice's header. What a frame lacks is shared by all frames.
GROUPS = {
    "PlanePositionSequence": POSITION_TAGS,
    "PlaneOrientationSequence": POSITION_TAGS,
    "PixelMeasuresSequence": POSITION_TAGS,
    "PixelValueTransformationSequence": (*RESCALE_TAGS, "RescaleType"),
    "FrameContentSequence": ("StackID", "TemporalPositionIndex"),
}
# One image may hold several volumes, which differ in these.
VOLUMES = {"StackID": "stacks of slices", "TemporalPositionIndex": "points in time"}


def slice_headers(header: Dataset, path: Path, *, root: Path) -> list[SliceHeader]:
    """Return the header of each slice in a file: its own, or one for each frame.

    Raises:
        BadSeries: the frames are not described one by one, or do not belong to one volume.
    """
    count = num_frames(header)
    if not header.get(PER_FRAME):
        if count > 1:
            message = f"{name_of(path, root)} holds {count} frames in one file. Export one file per slice."
            raise BadSeries("multi-frame DICOM", message)
        return [SliceHeader(path=path, header=header)]
    frames = list(_frames(header))
    if len(frames) != count:
        raise BadSeries(
            "multi-frame DICOM",
            f"{name_of(path, root)} holds {count} frames, but describes {len(frames)}. Export it again.",
        )
    _require_one_volume(frames, path, root=root)
    return [SliceHeader(path=path, header=frame, frame=number) for number, frame in enumerate(frames)]


def _frames(header: Dataset) -> Iterator[Dataset]:
    """Yield for each frame a header as a file of one slice would have it."""
    shared = (header.get(SHARED) or [Dataset()])[0]
    for groups in header[PER_FRAME].value:
        frame = Dataset()
        for tag in OF_FILE:
            if tag in header:
                frame[tag] = header[tag]
        for group, tags in GROUPS.items():
            for item in (groups.get(group) or shared.get(group) or [])[:1]:
                for tag in tags:
                    if tag in item:
                        frame[tag] = item[tag]
        yield frame


def _require_one_volume(frames: Sequence[Dataset], path: Path, *, root: Path) -> None:
    """Raise BadSeries for frames of several stacks or points in time."""
    name = name_of(path, root)
    for tag, what in VOLUMES.items():
        values = list(dict.fromkeys(str(frame.get(tag, "")) for frame in frames))
        if len(values) > 1:
            listed = ", ".join(values[:3])
            message = f"{name} holds {len(values)} {what} ({tag} {listed}). Export one of them as a series."
            raise BadSeries("multi-frame DICOM", message)
