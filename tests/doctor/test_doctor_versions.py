"""Installed packages against what the distributions declare."""

import platform

import pytest

from nnunet_pancext.doctor import versions
from nnunet_pancext.doctor.check import Status

CPU_INDEX = 'pip install "torch!=2.9.*,>=2.1.2" torchvision --index-url https://download.pytorch.org/whl/cpu'
CHECKS = (versions.check_python, versions.check_packages)
TITLES = ["nnunet_pancext", "nnU-Net", "torch", "torchvision", "other packages"]


def only(diagnoses):
    (diagnosis,) = diagnoses
    return diagnosis


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_all_is_well_when_everything_is_in_range(installed, check):
    assert {diagnosis.status for diagnosis in check()} == {Status.OK}


def test_the_main_packages_have_a_line_each_and_the_others_one(installed):
    assert [diagnosis.title for diagnosis in versions.check_packages()] == TITLES


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_nothing_installed_is_reported_and_no_check_fails(installed, check):
    installed(**dict.fromkeys(("nnunet-pancext", "nnunetv2", "torch", "torchvision", "numpy")))
    for diagnosis in check():
        assert (diagnosis.status is Status.PROBLEM) == (diagnosis.title != "Python")


def test_ranges_of_both_distributions_apply_without_extras_and_other_systems(installed):
    ranges = versions.declared_ranges()
    assert sorted(ranges) == ["nnunetv2", "numpy", "torch"]
    assert "1.24" in ranges["numpy"]
    assert "3.0" not in ranges["numpy"]


def test_old_python_is_a_problem(installed, monkeypatch):
    monkeypatch.setattr(platform, "python_version", lambda: "3.9.1")
    diagnosis = only(versions.check_python())
    assert (diagnosis.status, diagnosis.found) == (Status.PROBLEM, "3.9.1")
    assert diagnosis.remedy == "Create an environment with Python >=3.10."


@pytest.mark.parametrize(
    ("version", "found"), [("2.7.0", "2.7.0, but >=2.8.0 is needed"), (None, "not installed")]
)
def test_nnunet_that_cannot_find_trainers_is_a_problem(installed, version, found):
    installed(nnunetv2=version)
    diagnosis = versions.check_package("nnunetv2")
    assert (diagnosis.status, diagnosis.found) == (Status.PROBLEM, found)
    assert 'nnunetv2>=2.8.0"' in diagnosis.remedy


@pytest.mark.parametrize("version", ["2.9.0", "2.9.1+cpu"])
def test_torch_2_9_is_a_problem_that_says_why(installed, version):
    installed(torch=version)
    diagnosis = versions.check_package("torch")
    assert diagnosis.status is Status.PROBLEM
    assert "four times as long" in diagnosis.found
    assert 'pip install "torch!=2.9.*,>=2.1.2" torchvision' in diagnosis.remedy
    assert diagnosis.remedy.endswith("torchvision --index-url https://download.pytorch.org/whl/cpu") == (
        version.endswith("cpu")
    )


@pytest.mark.parametrize("version", ["2.10.0", "2.8.0+cu126", "2.11.0.dev20260101"])
def test_other_torch_is_fine(installed, version):
    installed(torch=version)
    assert versions.check_package("torch").status is Status.OK


def test_torch_below_the_range_names_the_range(installed):
    installed(torch="2.0.1")
    diagnosis = versions.check_package("torch")
    assert diagnosis.found.startswith("2.0.1, but ")
    assert ">=2.1.2" in diagnosis.remedy


def test_torch_that_does_not_load_is_a_problem(installed, monkeypatch):
    monkeypatch.setattr(versions, "import_error", lambda module: "OSError: libcudart.so: not found")
    diagnosis = versions.check_package("torch")
    assert diagnosis.found == "2.8.0 does not load: OSError: libcudart.so: not found"
    assert "pip uninstall -y torch torchvision" in diagnosis.remedy


def test_torchvision_built_for_another_torch_is_a_problem(installed, monkeypatch):
    installed(torch="2.8.0+cpu")
    message = "RuntimeError: operator torchvision::nms does not exist"
    monkeypatch.setattr(versions, "import_error", lambda module: message)
    diagnosis = versions.check_package("torchvision")
    assert diagnosis.status is Status.PROBLEM
    assert message in diagnosis.found
    assert "pip uninstall -y torch torchvision" in diagnosis.remedy
    assert diagnosis.remedy.endswith(CPU_INDEX)


def test_missing_torchvision_is_a_problem(installed):
    installed(torchvision=None)
    diagnosis = versions.check_package("torchvision")
    assert diagnosis.status is Status.PROBLEM
    assert "looks up a trainer" in diagnosis.found
    assert CPU_INDEX in diagnosis.remedy


def test_other_packages_are_counted_and_the_wrong_ones_named(installed):
    installed(numpy="1.20")
    diagnosis = list(versions.check_packages())[-1]
    assert diagnosis.title == "numpy"
    assert diagnosis.remedy == 'pip install "numpy<3,>=1.24"'
    installed(numpy="2.0.0")
    assert list(versions.check_packages())[-1].found == "1 of 1 as declared"


def test_import_error_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "module_that_fails.py").write_text(
        "raise RuntimeError('first line\\nsecond line')", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert versions.import_error("module_that_fails") == "RuntimeError: second line"
    assert versions.import_error("json") is None


@pytest.mark.parametrize(
    ("version", "status", "part"),
    [
        (None, Status.OK, "not installed; optional"),
        ("1.6.1", Status.OK, "1.6.1"),
        ("1.5.2", Status.WARNING, "1.5.2, but the Monai... trainers need <1.7,>=1.6"),
        ("1.7.0", Status.WARNING, "1.7.0"),
    ],
)
def test_monai_is_optional_but_of_a_version_that_fits(installed, version, status, part):
    installed(monai=version)
    diagnosis = only(versions.check_baselines())
    assert (diagnosis.title, diagnosis.status) == ("MONAI", status)
    assert part in diagnosis.found
    if version != "1.6.1":
        assert 'pip install "nnunet-pancext[baselines]"' in diagnosis.found + diagnosis.remedy
