"""DICOM series made from an array, by pydicom and by SimpleITK."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def write_with_pydicom(
    folder: Path,
    hu: np.ndarray,
    *,
    spacing_mm: tuple[float, float, float] = (0.8, 0.7, 2.5),
    origin_mm: Sequence[float] = (-170.5, 12.25, 40.0),
    orientation: Sequence[float] = AXIAL,
    slopes: Sequence[float] | None = None,
    intercept: float | Sequence[float] = -1024,
    bits: int = 16,
    series: str | None = None,
) -> list[Path]:
    """Write each slice of `hu` (z, y, x) as a file; return them in the order of z.

    Names and instance numbers run against the position, as in many downloads.
    """
    folder.mkdir(parents=True, exist_ok=True)
    series = series or generate_uid()
    normal = np.cross(orientation[:3], orientation[3:])
    paths = []
    for index, pixels in enumerate(hu):
        slope = 1.0 if slopes is None else slopes[index]
        of_slice = intercept[index] if isinstance(intercept, Sequence) else intercept
        path = folder / f"1-{len(hu) - index:03d}.dcm"
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        data.SeriesInstanceUID, data.StudyInstanceUID = series, generate_uid()
        data.Modality, data.PatientID = "CT", "PANCREAS"
        data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        data.InstanceNumber = len(hu) - index
        data.Rows, data.Columns = pixels.shape
        data.PixelSpacing = [spacing_mm[1], spacing_mm[0]]
        data.SliceThickness = spacing_mm[2]
        data.ImageOrientationPatient = list(orientation)
        data.ImagePositionPatient = [
            float(f"{start + index * spacing_mm[2] * step:.6f}")
            for start, step in zip(origin_mm, normal, strict=True)
        ]
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, bits, bits - 1, 1
        data.RescaleSlope, data.RescaleIntercept = slope, of_slice
        stored = np.rint((pixels - of_slice) / slope).astype(np.int16)
        data.PixelData = stored.tobytes()
        data.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def write_with_simpleitk(
    folder: Path, hu: np.ndarray, *, spacing_mm=(0.8, 0.7, 2.5), origin_mm=(-170.5, 12.25, 40.0)
) -> list[Path]:
    """Write each slice with SimpleITK's writer; return the files in the order of z."""
    folder.mkdir(parents=True, exist_ok=True)
    series = generate_uid()
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    paths = []
    for index, pixels in enumerate(hu):
        image = sitk.GetImageFromArray(pixels.astype(np.int16)[None])
        image.SetSpacing(spacing_mm)
        position = (origin_mm[0], origin_mm[1], origin_mm[2] + index * spacing_mm[2])
        image.SetOrigin(position)
        for tag, value in {
            "0008|0060": "CT",
            "0008|0008": "ORIGINAL\\PRIMARY\\AXIAL",
            "0020|000e": series,
            "0020|000d": generate_uid(),
            "0008|0018": generate_uid(),
            "0020|0013": str(index + 1),
            "0020|0032": "\\".join(map(str, position)),
            "0020|0037": "1\\0\\0\\0\\1\\0",
        }.items():
            image.SetMetaData(tag, value)
        path = folder / f"{chr(ord('z') - index)}.dcm"
        writer.SetFileName(str(path))
        writer.Execute(image)
        paths.append(path)
    return paths


def edit(path: Path, **fields: Any) -> None:
    """Set fields of a file, or remove those whose value is None."""
    data = pydicom.dcmread(path)
    for name, value in fields.items():
        if value is None:
            delattr(data, name)
        else:
            setattr(data, name, value)
    data.save_as(path)
