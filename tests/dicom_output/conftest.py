"""Fixtures of the services that store DICOM objects."""

import pytest
from contracts.orthanc import orthanc, running_orthanc
from network_fixtures import certificates, made_series, misbehaving, misbehaving_tls
from sent_files import segmentation

__all__ = [
    "certificates",
    "made_series",
    "misbehaving",
    "misbehaving_tls",
    "orthanc",
    "running_orthanc",
    "segmentation",
]


@pytest.fixture(autouse=True)
def _plain_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy or token of the machine, and no waiting between attempts."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "PANCEXT_DICOMWEB_TOKEN", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr("nnunet_pancext.dicom_output.http_failures.WAITS_S", (0, 0))
