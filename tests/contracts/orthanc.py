"""A real PACS: Debian's Orthanc with its DICOMweb plugin, on free ports of the loopback interface."""

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import pytest

PROGRAM = "Orthanc"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
STARTS_WITHIN_S = 30
# Straight to it, whatever proxy the environment names.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Orthanc:
    """A running server; `calls` are made to its own interface, not to DICOMweb."""

    http_port: int
    dicom_port: int

    @property
    def dicomweb(self) -> str:
        """URL of the DICOMweb service."""
        return f"http://127.0.0.1:{self.http_port}/dicom-web"

    @property
    def peer(self) -> str:
        """Whom `--send` names."""
        return f"ORTHANC@127.0.0.1:{self.dicom_port}"

    def call(self, path: str, *, data: bytes | None = None) -> bytes:
        """Return the answer to a GET, or to a POST of `data`."""
        with OPENER.open(f"http://127.0.0.1:{self.http_port}{path}", data=data, timeout=30) as answer:
            return answer.read()

    def add(self, *files: Path) -> None:
        """Store files by Orthanc's own interface."""
        for file in files:
            self.call("/instances", data=file.read_bytes())

    def stored(self, sop_instance_uid: str) -> list[bytes]:
        """Return the files that are stored with this UID."""
        query = {"Level": "Instance", "Query": {"SOPInstanceUID": sop_instance_uid}}
        found = json.loads(self.call("/tools/find", data=json.dumps(query).encode()))
        return [self.call(f"/instances/{name}/file") for name in found]

    def clear(self) -> None:
        """Delete all patients."""
        for name in json.loads(self.call("/patients")):
            request = urllib.request.Request(
                f"http://127.0.0.1:{self.http_port}/patients/{name}", method="DELETE"
            )
            OPENER.open(request, timeout=30).close()


@pytest.fixture(scope="session")
def running_orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """One Orthanc for all tests of a process."""
    program = shutil.which(PROGRAM) or shutil.which(PROGRAM, path="/usr/sbin")
    if program is None or not PLUGIN.exists():
        pytest.skip("Orthanc is not installed: apt-get install orthanc orthanc-dicomweb")
    folder = tmp_path_factory.mktemp("orthanc")
    server = Orthanc(*free_ports(2))
    settings = {
        "Name": "test",
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "HttpPort": server.http_port,
        "DicomPort": server.dicom_port,
        "DicomAet": "ORTHANC",
        "DicomCheckCalledAet": True,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings), encoding="utf-8")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, folder / "orthanc.json"], stdout=log, stderr=log, cwd=folder)
    try:
        wait_for(server, process, log=folder / "log")
        yield server
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def orthanc(running_orthanc: Orthanc) -> Orthanc:
    """An Orthanc without patients."""
    running_orthanc.clear()
    return running_orthanc


def wait_for(server: Orthanc, process: subprocess.Popen[bytes], *, log: Path) -> None:
    """Return when the server answers."""
    last = time.monotonic() + STARTS_WITHIN_S
    while True:
        assert process.poll() is None, f"Orthanc has ended:\n{log.read_text(encoding='utf-8')}"
        try:
            server.call("/dicom-web/studies")
            return
        except (URLError, ConnectionError, TimeoutError):
            assert time.monotonic() < last, f"Orthanc does not answer:\n{log.read_text(encoding='utf-8')}"
            time.sleep(0.05)


def free_ports(count: int) -> list[int]:
    """Return ports that nothing listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
