"""The trainer lookup, tried in a new process."""

import subprocess
from types import SimpleNamespace

import pytest

from nnunet_pancext.doctor.check import Status
from nnunet_pancext.doctor.discovery import check_discovery


def pretend_lookup(monkeypatch, *, returncode, stderr=""):
    calls = []

    def run(command, **options):
        calls.append(options)
        return SimpleNamespace(returncode=returncode, stderr=stderr)

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_success_names_what_was_found(monkeypatch):
    pretend_lookup(monkeypatch, returncode=0)
    (diagnosis,) = check_discovery()
    assert diagnosis.status is Status.OK
    assert "SegResNetNLTrainer_5epochs" in diagnosis.found


def test_the_lookup_registers_anew_and_keeps_the_rest_of_the_environment(monkeypatch):
    calls = pretend_lookup(monkeypatch, returncode=0)
    monkeypatch.setenv("nnUNet_extTrainer", "/somewhere")
    monkeypatch.setenv("PYTHONPATH", "/mine")
    list(check_discovery())
    assert "nnUNet_extTrainer" not in calls[0]["env"]
    assert calls[0]["env"]["PYTHONPATH"] == "/mine"


@pytest.mark.parametrize(
    ("stderr", "found", "remedy"),
    [
        ("Traceback\nRuntimeError: operator torchvision::nms does not exist\n", "RuntimeError", "same index"),
        ("ModuleNotFoundError: No module named 'torchvision'", "ModuleNotFoundError", "same index"),
        ("RuntimeError: Could not find requested nnunet trainer", "RuntimeError", "--force-reinstall"),
        ("", "exit code 1", "--force-reinstall"),
    ],
)
def test_failure_shows_the_last_line_and_a_remedy(monkeypatch, stderr, found, remedy):
    pretend_lookup(monkeypatch, returncode=1, stderr=stderr)
    (diagnosis,) = check_discovery()
    assert diagnosis.status is Status.PROBLEM
    assert diagnosis.found.startswith(found)
    assert remedy in diagnosis.remedy


def test_a_lookup_that_hangs_is_a_problem(monkeypatch):
    def run(command, **options):
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(subprocess, "run", run)
    (diagnosis,) = check_discovery()
    assert (diagnosis.status, diagnosis.found) == (Status.PROBLEM, "no answer after 300 s")


@pytest.mark.slow
def test_nnunet_finds_the_trainers_for_real():
    (diagnosis,) = check_discovery()
    assert diagnosis.status is Status.OK, diagnosis.found


@pytest.mark.slow
def test_a_torchvision_that_does_not_load_is_recognised_for_real(monkeypatch, tmp_path):
    broken = tmp_path / "torchvision"
    broken.mkdir()
    (broken / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')\n", encoding="utf-8"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (diagnosis,) = check_discovery()
    assert diagnosis.status is Status.PROBLEM
    assert diagnosis.found == "RuntimeError: operator torchvision::nms does not exist"
    assert "torchvision --index-url" in diagnosis.remedy
