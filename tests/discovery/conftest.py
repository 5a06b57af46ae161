"""The package installed into fresh environments, as a wheel and editable."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from child_environment import ChildEnvironment, link_dependencies

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a checkout has and a build needs, as it is when the tests begin."""
    target = tmp_path_factory.mktemp("snapshot")
    for file in REPOSITORY.iterdir():
        if file.is_file():
            shutil.copy(file, target)
    for folder in ("nnunet_pancext", "tests"):
        shutil.copytree(REPOSITORY / folder, target / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return target


@pytest.fixture(scope="session")
def copy_source(snapshot: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Make a source folder of its own for each build, because builds leave files behind."""
    return lambda: shutil.copytree(snapshot, tmp_path_factory.mktemp("sources") / "nnunet_pancext")


@pytest.fixture(scope="session")
def build_wheel(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Build the wheel of a source folder or of a source distribution."""

    def build(source: Path) -> Path:
        target = tmp_path_factory.mktemp("wheel")
        options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", target]
        subprocess.run([sys.executable, "-m", "pip", "wheel", *options, source], check=True)
        return next(target.glob("*.whl"))

    return build


@pytest.fixture(scope="session")
def wheel(copy_source: Callable[[], Path], build_wheel: Callable[[Path], Path]) -> Path:
    return build_wheel(copy_source())


@pytest.fixture(scope="session")
def new_environment(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], ChildEnvironment]:
    dependencies = link_dependencies(tmp_path_factory.mktemp("shared") / "dependencies")
    return lambda: ChildEnvironment(
        tmp_path_factory.mktemp("environments") / "venv", dependencies=dependencies
    )


@pytest.fixture(scope="session")
def bare_environment(new_environment: Callable[[], ChildEnvironment]) -> ChildEnvironment:
    """An environment with nnU-Net in which the package is not installed."""
    return new_environment()


@pytest.fixture(scope="session")
def wheel_environment(new_environment: Callable[[], ChildEnvironment], wheel: Path) -> ChildEnvironment:
    environment = new_environment()
    environment.install(wheel)
    return environment


@pytest.fixture(scope="session")
def editable_environment(
    new_environment: Callable[[], ChildEnvironment], copy_source: Callable[[], Path]
) -> ChildEnvironment:
    environment = new_environment()
    environment.install("--editable", copy_source())
    return environment
