"""Segmentations of made series, and edits of their images, for the tests here."""

from pathlib import Path
from typing import Any

import pydicom
from contracts.dicom_series import MadeSeries
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement

from nnunet_pancext.dicom_output.codes import read_codes
from nnunet_pancext.dicom_output.segmentation import SegmentingModel, write_segmentation

LABELS = {"background": 0, "pancreas": 1, "cancer": 2}
MODEL = SegmentingModel(name="DLKUNetLTrainer 3d_fullres", sha256="c0ffee" * 10 + "0123")


def write(made: MadeSeries, *, labels: dict[str, Any] = LABELS, **changed: Any) -> Path:
    """Write the segmentation of a made series beside it; return the file."""
    target = made.folder / "case.seg.dcm"
    if "codes" not in changed:
        changed["codes"] = read_codes(labels, dataset_json={})
    options = {"files": made.files, "geometry": made.geometry, "model": MODEL, **changed}
    label_map = options.pop("label_map", made.label_map)
    write_segmentation(target, label_map, labels=labels, **options)
    return target


def edit(made: MadeSeries, **fields: Any) -> None:
    """Set fields of every image, also to values that DICOM does not allow; None removes one."""
    for path in made.files:
        data = pydicom.dcmread(path)
        for keyword, value in fields.items():
            tag = tag_for_keyword(keyword)
            if value is None:
                del data[tag]
            else:
                vr = dictionary_VR(tag)
                data[tag] = DataElement(tag, vr, value, validation_mode=IGNORE)
        data.save_as(path, enforce_file_format=True)
