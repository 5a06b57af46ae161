"""Decoders of DICOM Segmentations that share nothing with the writer: dcmqi, pydicom by hand, highdicom."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

Decoded = dict[
    str, np.ndarray
]  # points (N, 3) of each segment's voxels in mm, in DICOM's patient coordinates


def by_hand(path: Path) -> Decoded:
    """Place each frame by its own position, by the equation of PS3.3 C.7.6.2.1.1."""
    data = pydicom.dcmread(path)
    frames = data.pixel_array.reshape(-1, data.Rows, data.Columns)
    shared = data.SharedFunctionalGroupsSequence[0]
    orientation = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    between_rows, between_columns = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    names = {segment.SegmentNumber: segment.SegmentLabel for segment in data.SegmentSequence}
    points: dict[str, list[np.ndarray]] = {name: [np.empty((0, 3))] for name in names.values()}
    for frame, group in zip(frames, data.PerFrameFunctionalGroupsSequence, strict=True):
        rows, columns = frame.nonzero()
        position = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        along_row = columns[:, None] * between_columns * orientation[:3]
        along_column = rows[:, None] * between_rows * orientation[3:]
        # With one segment its number is the same for all frames, and may be shared.
        identified = group if "SegmentIdentificationSequence" in group else shared
        number = identified.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        points[names[number]].append(position + along_row + along_column)
    return {name: np.concatenate(parts) for name, parts in points.items()}


def by_dcmqi(path: Path) -> Decoded:
    """Decode with dcmqi's segimage2itkimage, which writes one NRRD file per segment."""
    command = shutil.which("segimage2itkimage") or shutil.which(
        "segimage2itkimage", path=Path(sys.executable).parent
    )
    if command is None:
        pytest.skip("dcmqi is not installed: pip install dcmqi, which exists for Linux")
    folder = path.with_name(f"{path.name} by dcmqi")
    folder.mkdir()
    options = ["--inputDICOM", str(path), "--outputDirectory", str(folder), "--outputType", "nrrd"]
    done = subprocess.run([command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    described = json.loads((folder / "meta.json").read_text(encoding="utf-8"))["segmentAttributes"]
    points = {}
    for (segment,) in described:
        image = sitk.ReadImage(str(folder / f"{segment['labelID']}.nrrd"))
        voxels = np.argwhere(sitk.GetArrayFromImage(image))[:, ::-1].tolist()
        points[segment["SegmentLabel"]] = np.array(
            [image.TransformIndexToPhysicalPoint(voxel) for voxel in voxels]
        ).reshape(-1, 3)
    return points


def by_highdicom(path: Path) -> Decoded:
    """Decode with highdicom's reader as a volume with an affine."""
    highdicom = pytest.importorskip("highdicom")
    segmentation = highdicom.seg.segread(path)
    volume = segmentation.get_volume(combine_segments=False, rescale_fractional=False)
    return {
        segmentation.get_segment_description(number).segment_label: np.argwhere(volume.array[..., number - 1])
        @ volume.affine[:3, :3].T
        + volume.affine[:3, 3]
        for number in segmentation.segment_numbers
    }


DECODERS: dict[str, Callable[[Path], Decoded]] = {
    "dcmqi": by_dcmqi,
    "pydicom by hand": by_hand,
    "highdicom": by_highdicom,
}


def dciodvfy_errors(path: Path) -> list[str]:
    """Return the errors that dciodvfy, of Debian's dicom3tools, finds in an object."""
    command = shutil.which("dciodvfy")
    if command is None:
        pytest.skip("dciodvfy is not installed: apt-get install dicom3tools")
    done = subprocess.run([command, str(path)], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    assert "Segmentation" in lines, lines  # it recognized the object
    return [line for line in lines if line.startswith("Error")]
