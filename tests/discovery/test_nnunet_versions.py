"""The oldest nnU-Net that works, one that is too old, and none."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from child_environment import ChildEnvironment

import nnunet_pancext_discovery
from nnunet_pancext_discovery import OLDEST_NNUNET

ADVICE = (
    "nnunetv2 2.7.0 is too old: it cannot find trainers outside its own folder. "
    'Install a newer one: pip install -U "nnunetv2>=2.8.0"'
)


@pytest.fixture(scope="module")
def outdated_environment(new_environment: Callable[[], ChildEnvironment], wheel: Path) -> ChildEnvironment:
    """The package beside an nnU-Net that says it is 2.7.0."""
    environment = new_environment()
    environment.install(wheel)
    metadata = environment.site_packages / "nnunetv2-2.7.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: nnunetv2\nVersion: 2.7.0\n", encoding="utf-8")
    return environment


@pytest.fixture
def stock_command(tmp_path: Path) -> Path:
    """A file called like a command of nnU-Net, which only prints a word."""
    command = tmp_path / "nnUNetv2_train"
    command.write_text("print('started')\n", encoding="utf-8")
    return command


def test_a_command_of_an_outdated_nnunet_prints_what_to_install(
    outdated_environment: ChildEnvironment, stock_command: Path
) -> None:
    done = outdated_environment.python(stock_command)
    assert done.stdout == "started\n"
    assert done.stderr == f"nnunet_pancext: {ADVICE}\n"


def test_other_processes_beside_an_outdated_nnunet_say_nothing(
    outdated_environment: ChildEnvironment, tmp_path: Path
) -> None:
    script = tmp_path / "train.py"
    script.write_text("import nnunet_pancext\n", encoding="utf-8")
    assert outdated_environment.python(script).stderr == ""
    assert outdated_environment.python("-c", "print('nnUNetv2_train')").stderr == ""


@pytest.mark.slow
def test_importing_the_trainers_beside_an_outdated_nnunet_prints_what_to_install(
    outdated_environment: ChildEnvironment,
) -> None:
    code = (
        "from nnunet_pancext.errors import PancextError\n"
        "try:\n    import nnunet_pancext.trainers\n"
        "except PancextError as error:\n    print(error)\n"
    )
    assert outdated_environment.python("-c", code).stdout == f"{ADVICE}\n"


@pytest.mark.parametrize(
    ("version", "good_enough"),
    [
        ("1.7.1", False),
        ("2.6.4", False),
        ("2.7.99", False),
        ("2.8", True),
        ("2.8.0", True),
        ("2.8.0rc1", True),
        ("2.8.1", True),
        ("2.8.1+local.7", True),
        ("2.10", True),
        ("3", True),
    ],
)
def test_versions_are_compared_as_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, good_enough: bool
) -> None:
    (tmp_path / f"nnunetv2-{version}.dist-info").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path / "nowhere"), str(tmp_path)])
    assert (nnunet_pancext_discovery.outdated_nnunet_message() is None) == good_enough


def test_an_nnunet_without_such_a_folder_is_found_by_its_metadata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nnunetv2.egg-info").mkdir()
    (tmp_path / "nnunetv2.egg-info" / "PKG-INFO").write_text(
        "Metadata-Version: 2.1\nVersion: 2.6.4\n", encoding="utf-8"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert "nnunetv2 2.6.4 is too old" in (nnunet_pancext_discovery.outdated_nnunet_message() or "")


def test_a_command_without_any_nnunet_prints_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    message = nnunet_pancext_discovery.outdated_nnunet_message()
    assert message == 'nnU-Net is not installed. Install it: pip install "nnunetv2>=2.8.0"'


@pytest.mark.slow
def test_the_oldest_supported_nnunet_finds_the_trainers(
    new_environment: Callable[[], ChildEnvironment], wheel: Path
) -> None:
    environment = new_environment()
    environment.install(wheel)
    options = ["--no-deps", "--ignore-installed", "--retries", "1", "--timeout", "20"]
    done = environment.pip("install", *options, f"nnunetv2=={OLDEST_NNUNET}", check=False)
    if done.returncode:
        pytest.skip(f"pip could not download nnunetv2 {OLDEST_NNUNET}: {done.stderr.strip()}")
    used = environment.python(
        "-c", "import importlib.metadata as m, nnunetv2; print(m.version('nnunetv2'), nnunetv2.__path__[0])"
    )
    assert used.stdout.split() == [OLDEST_NNUNET, str(environment.site_packages / "nnunetv2")]
    name = "SegResNetNLTrainer_5epochs_20iterations"
    report = environment.report("class_identity.py", name)
    assert all(report["main"][name].values())
