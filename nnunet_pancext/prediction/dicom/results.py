"""The DICOM-SEG of a case from DICOM input, which may be sent to a PACS."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from pydicom import dcmread

from nnunet_pancext.dicom_output import send
from nnunet_pancext.dicom_output.access import Access, shown_url
from nnunet_pancext.dicom_output.segmentation import SegmentingModel, write_segmentation
from nnunet_pancext.dicom_output.snomed import SegmentCode
from nnunet_pancext.dicom_output.source_images import read_source_images
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.disk import write_errors_as_pancext
from nnunet_pancext.io.images import read_image
from nnunet_pancext.prediction.dicom.case import DicomCase
from nnunet_pancext.raw_cases.case_checks import compare_geometry
from nnunet_pancext.raw_cases.geometry import geometry_of

KEY = "segmentation"  # in CASE.json


@dataclass(frozen=True, kw_only=True)
class SegmentationOutput:
    """How a DICOM-SEG is written: the segments by label, and what becomes of frames and cases without any.

    `empty_frames` is "keep" or "omit". With `writes_negative` false a case of which nothing was found has
    no DICOM-SEG.
    """

    labels: Mapping[str, int | Sequence[int]]
    codes: Mapping[str, SegmentCode]
    model: SegmentingModel
    empty_frames: str = "keep"
    writes_negative: bool = True

    def options(self) -> dict[str, Any]:
        """Return what the result depends on, for the record."""
        return {
            "empty_frames": self.empty_frames,
            "negative": "seg" if self.writes_negative else "none",
            "segments": {name: _code_facts(code) for name, code in self.codes.items()},
        }

    def require_possible(self, case: DicomCase) -> None:
        """Refuse a series that no DICOM-SEG can refer to, before it is predicted; PancextError."""
        series = case.source.series
        try:
            read_source_images(series.files, geometry=series.geometry)
        except PancextError as error:
            raise PancextError(f"{error} Or give --no-seg.") from error

    def write(self, target: Path, *, label_map: Path, case: DicomCase) -> dict[str, Any]:
        """Write the DICOM-SEG of a label map that was written, and return the record's entry.

        Raises:
            PancextError: the label map is not on the grid of the series, the disk is full, or as
                `write_segmentation`.
        """
        series = case.source.series
        image = read_image(label_map)
        if differences := compare_geometry(
            series.geometry, geometry_of(image), label_name=label_map.name, image_name="the CT series"
        ):
            raise PancextError(f"No DICOM-SEG: {next(iter(differences.values()))}")
        values = sitk.GetArrayFromImage(image)
        if not self.writes_negative and not self._is_any(values):
            return {"file": None, "sop_instance_uid": None}
        with write_errors_as_pancext(target, option="-o"):
            write_segmentation(
                target,
                values,
                files=series.files,
                geometry=series.geometry,
                labels=self.labels,
                codes=self.codes,
                model=self.model,
                empty_frames=self.empty_frames,
            )
        uid = dcmread(target, specific_tags=["SOPInstanceUID"], stop_before_pixels=True).SOPInstanceUID
        return {"file": target.name, "sop_instance_uid": str(uid)}

    def _is_any(self, values: np.ndarray) -> bool:
        """Whether a voxel belongs to a segment."""
        of_segments = np.concatenate([np.atleast_1d(self.labels[name]) for name in self.codes])
        return bool(np.isin(values, of_segments).any())


def _code_facts(code: SegmentCode) -> dict[str, Any]:
    parts = {"category": code.category, "type": code.type, "modifier": code.modifier, "region": code.region}
    facts: dict[str, Any] = {key: list(part[:3]) for key, part in parts.items() if part is not None}
    return facts | ({"colour": code.colour} if code.colour else {})


@dataclass(frozen=True, kw_only=True)
class Sending:
    """Where each DICOM-SEG is sent: services for STOW-RS, and receivers by C-STORE."""

    services: Sequence[str] = ()
    peers: Sequence[send.Peer] = ()
    access: Access = field(default_factory=Access)
    calling_aet: str = send.CALLING_AET
    tls: bool = False

    def send(self, file: Path, *, say: Callable[[str], None]) -> list[str]:
        """Send a file everywhere, give `say` a line for each that has it, and return the failures."""
        failures = []
        for name, deliver in self._deliveries(file):
            try:
                remarks = deliver()
            except PancextError as error:
                failures.append(str(error))
            else:
                say(f"sent to {name}{''.join(f', but {remark}' for remark in remarks)}")
        return failures

    def _deliveries(self, file: Path) -> Iterator[tuple[str, Callable[[], list[str]]]]:
        for service in self.services:
            yield shown_url(service), partial(send.store, file, service, access=self.access)
        for peer in self.peers:
            yield (
                str(peer),
                partial(
                    send.send,
                    file,
                    peer,
                    access=self.access,
                    calling_aet=self.calling_aet,
                    tls=self.tls,
                ),
            )
