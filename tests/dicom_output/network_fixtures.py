"""Servers that fail, with TLS and without, and the certificates for them."""

import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from contracts.dicom_series import MadeSeries, make_series
from misbehaving_server import MisbehavingServer, serve


@dataclass(frozen=True)
class Certificates:
    """Self-signed ones: `own` for 127.0.0.1, `other` for another host, `client` for a user.

    The file of a name holds the certificate, that of name + "_key" its key, and `client_both` both.
    """

    folder: Path

    def __getattr__(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def server(self, name: str = "own", *, wants_client: bool = False) -> ssl.SSLContext:
        """Return the context of a server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}_key.pem")
        if wants_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.folder / "client.pem")
        return context


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates that OpenSSL makes."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make certificates with")
    folder = tmp_path_factory.mktemp("certificates")
    names = {"own": "IP:127.0.0.1", "other": "DNS:elsewhere.example", "client": "DNS:client.example"}
    for name, alternative in names.items():
        command = [
            *("openssl", "req", "-x509", "-nodes", "-days", "2"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-subj", f"/CN={name}", "-addext", f"subjectAltName={alternative}"),
            *("-keyout", folder / f"{name}_key.pem", "-out", folder / f"{name}.pem"),
        ]
        subprocess.run(command, check=True, capture_output=True)
    both = (folder / "client.pem").read_bytes() + (folder / "client_key.pem").read_bytes()
    (folder / "client_both.pem").write_bytes(both)
    return Certificates(folder)


@pytest.fixture(scope="session")
def made_series(tmp_path_factory: pytest.TempPathFactory) -> MadeSeries:
    """A plain CT series of 14 slices."""
    return make_series(tmp_path_factory.mktemp("series"))


@pytest.fixture
def misbehaving(made_series: MadeSeries) -> Iterator[MisbehavingServer]:
    """A DICOMweb server on this machine, without TLS."""
    yield from serve(made_series)


@pytest.fixture
def misbehaving_tls(made_series: MadeSeries) -> Iterator[Callable[[ssl.SSLContext], MisbehavingServer]]:
    """Starts the same with TLS."""
    with ExitStack() as stack:
        running = contextmanager(serve)
        yield lambda context: stack.enter_context(running(made_series, tls=context))
