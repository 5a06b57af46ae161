"""What the wheels and the source distribution contain, and what an uninstallation leaves."""

import base64
import csv
import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from child_environment import ChildEnvironment

PTH = "nnunet_pancext.pth"
DISCOVERY = "nnunet_pancext_discovery.py"
BRIDGE = "nnunet_pancext/trainer_bridge/nnunet_pancext_bridge.py"


def files_and_hashes(wheel: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a wheel, written as in RECORD."""
    with zipfile.ZipFile(wheel) as archive:
        digests = {name: hashlib.sha256(archive.read(name)).digest() for name in archive.namelist()}
    return {
        name: "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        for name, digest in digests.items()
    }


def record_of(wheel: Path) -> dict[str, str]:
    """Return the hashes that the RECORD of a wheel lists."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
        rows = csv.reader(io.StringIO(archive.read(name).decode()))
        return {path: digest for path, digest, _ in rows if path != name}


def build_with_backend(function: str, source: Path, target: Path) -> Path:
    """Call a hook of the build backend in `source`, as a build tool does, and return the file it made."""
    code = f"from setuptools import build_meta; build_meta.{function}({str(target)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True)
    (made,) = target.iterdir()
    return made


@pytest.fixture(scope="module")
def editable_wheel(copy_source: Callable[[], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_with_backend("build_editable", copy_source(), tmp_path_factory.mktemp("editable"))


@pytest.fixture(params=["wheel", "editable_wheel"])
def built_wheel(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


def test_record_lists_every_file_with_its_hash(built_wheel: Path) -> None:
    files = files_and_hashes(built_wheel)
    record = record_of(built_wheel)
    assert PTH in record
    assert record == {name: digest for name, digest in files.items() if not name.endswith("/RECORD")}


def test_no_file_is_in_a_wheel_twice(built_wheel: Path) -> None:
    with zipfile.ZipFile(built_wheel) as archive:
        assert len(archive.namelist()) == len(set(archive.namelist()))


def test_the_wheel_holds_the_package_and_the_discovery_and_nothing_else(wheel: Path, snapshot: Path) -> None:
    folder = snapshot / "nnunet_pancext"
    sources = {path.relative_to(snapshot).as_posix() for path in folder.rglob("*") if path.is_file()}
    packed = {name for name in files_and_hashes(wheel) if ".dist-info/" not in name}
    assert BRIDGE in sources
    assert packed == sources | {PTH, DISCOVERY}


def test_the_wheel_carries_the_licence(wheel: Path) -> None:
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in files_and_hashes(wheel))


def test_the_source_distribution_gives_the_same_wheel(
    wheel: Path, copy_source: Callable[[], Path], build_wheel: Callable[[Path], Path], tmp_path: Path
) -> None:
    archive = build_with_backend("build_sdist", copy_source(), tmp_path)
    with tarfile.open(archive) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    assert {"setup.py", "pyproject.toml", PTH, DISCOVERY, BRIDGE, "LICENSE", "README.md"} <= names
    assert not any("__pycache__" in name or name.endswith(".pyc") for name in names)
    assert files_and_hashes(build_wheel(archive)) == files_and_hashes(wheel)


@pytest.mark.slow
def test_uninstalling_leaves_nothing_behind(
    new_environment: Callable[[], ChildEnvironment], wheel: Path
) -> None:
    environment = new_environment()
    before = environment.files()
    environment.install("--no-compile", wheel)  # so that all byte code comes from the use below
    environment.report("resolve_names.py", "SegResNetNLTrainer_5epochs")
    used = [Path(path) for path in environment.files()]
    environment.pip("uninstall", "--yes", "nnunet-pancext")
    assert any(path.name.startswith("nnunet_pancext_bridge.cpython") for path in used)
    assert environment.files() == before


def test_uninstalling_an_editable_installation_leaves_nothing_behind(
    new_environment: Callable[[], ChildEnvironment], copy_source: Callable[[], Path]
) -> None:
    environment = new_environment()
    before = environment.files()
    environment.install("--editable", copy_source())
    environment.python("-c", "import nnunet_pancext")
    used = environment.files()
    environment.pip("uninstall", "--yes", "nnunet-pancext")
    assert any(path.endswith(PTH) for path in used)
    assert environment.files() == before
