"""A file to send, and a receiver of C-STORE."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pynetdicom
import pytest
from pydicom.uid import (
    ExplicitVRLittleEndian,
    SegmentationStorage,
    generate_uid,
)

from nnunet_pancext.dicom_output.access import Access

OPEN = Access()


@pytest.fixture
def segmentation(tmp_path: Path, made_series) -> Path:
    """A file with a SEG's class and 1-bit pixels of odd length in bytes; a PACS does not look further."""
    data = pydicom.dcmread(made_series.files[0])
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = SegmentationStorage
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.SeriesInstanceUID, data.Modality, data.NumberOfFrames = generate_uid(), "SEG", 3
    data.BitsAllocated = data.BitsStored = 1
    data.HighBit = data.PixelRepresentation = 0
    del data.RescaleSlope, data.RescaleIntercept
    data.PixelData = bytes(range(240)) * 3  # 40 x 48 bits are 240 bytes
    path = tmp_path / "a case.seg.dcm"
    data.save_as(path)
    return path


def uid_of(path: Path) -> str:
    return str(pydicom.dcmread(path).SOPInstanceUID)


@contextmanager
def receiving(
    *,
    status: int = 0,
    aet: str = "",
    calling: str = "",
    storage: str = SegmentationStorage,
    syntaxes: tuple[str, ...] = (ExplicitVRLittleEndian,),
    handler: Callable[..., int] | None = None,
    tls=None,
) -> Iterator[tuple[str, list[pydicom.Dataset]]]:
    """Run a receiver of C-STORE; yield what --send names and what it has received."""
    received: list[pydicom.Dataset] = []

    def on_store(event) -> int:
        received.append(event.dataset)
        return status

    entity = pynetdicom.AE(ae_title=aet or "RECEIVER")
    entity.add_supported_context(storage, list(syntaxes))
    entity.require_called_aet = bool(aet)
    entity.require_calling_aet = [calling] if calling else []
    server = entity.start_server(
        ("127.0.0.1", 0),
        block=False,
        ssl_context=tls,
        evt_handlers=[(pynetdicom.evt.EVT_C_STORE, handler or on_store)],
    )
    try:
        yield f"RECEIVER@127.0.0.1:{server.server_address[1]}", received
    finally:
        server.shutdown()
