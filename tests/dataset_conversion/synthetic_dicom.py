"""DICOM series made from an array, by pydicom and by SimpleITK."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from nnunet_pancext.raw_cases.dicom_search import find_ct_series
from nnunet_pancext.raw_cases.dicom_series import DicomSeries, open_series

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
    """Set fields of a file, or remove those whose value is None; "" leaves the field without a value."""
    data = pydicom.dcmread(path)
    for name, value in fields.items():
        if value is None:
            delattr(data, name)
        else:
            setattr(data, name, value)
    data.save_as(path)


def add_object(folder: Path, sop_class: str, modality: str = "", *, frames: int = 0, **fields: Any) -> Path:
    """Write an object without pixels beside the slices, of their series if there are any; return its file."""
    slices = sorted(folder.glob("*.dcm")) if folder.is_dir() else []
    folder.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = folder / f"object of class {sop_class}.dcm"
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    data.SeriesInstanceUID = pydicom.dcmread(slices[0]).SeriesInstanceUID if slices else generate_uid()
    if modality:
        data.Modality = modality
    if frames:
        data.NumberOfFrames, data.Rows, data.Columns = frames, 8, 10
    for name, value in fields.items():
        setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    return path


def replace_bytes(path: Path, old: bytes, new: bytes) -> None:
    """Replace what occurs once in a file."""
    content = path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))


def compress_to_jpeg2000(path: Path, *, syntax: str | None = None, share: float = 1) -> None:
    """Compress the pixels without loss; `syntax` is what the header claims, `share` how much is kept."""
    data = pydicom.dcmread(path)
    stored = np.frombuffer(data.PixelData, np.int16).reshape(data.Rows, data.Columns)
    scratch = path.with_suffix(".jpeg2000")
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.UseCompressionOn()
    writer.SetCompressor("JPEG2000")
    writer.SetFileName(str(scratch))
    writer.Execute(sitk.GetImageFromArray(stored[None]))
    compressed = pydicom.dcmread(scratch)
    scratch.unlink()
    frame = next(generate_frames(compressed.PixelData, number_of_frames=1))
    data.PixelData = encapsulate([frame[: int(share * len(frame) / 2) * 2]])
    data["PixelData"].VR = "OB"
    data.file_meta.TransferSyntaxUID = syntax or compressed.file_meta.TransferSyntaxUID
    data.save_as(path)


def opened(files: Sequence[Path], *, root: Path) -> DicomSeries:
    """Return the only CT series of the files."""
    return open_series(find_ct_series(files, root=root).only_series(root=root), root=root)
