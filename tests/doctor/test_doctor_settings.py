"""Environment variables that hold a number: processes, the seed and seconds."""

import pytest

from nnunet_pancext.doctor.check import Status
from nnunet_pancext.doctor.settings import (
    AUGMENTATION,
    GENERAL,
    check_progress_interval,
    check_seed,
    check_variable,
    check_workers,
)


def set_variable(monkeypatch, variable, value):
    if value is None:
        monkeypatch.delenv(variable, raising=False)
    else:
        monkeypatch.setenv(variable, value)


@pytest.mark.parametrize(
    ("variable", "value", "cpus", "status", "found"),
    [
        (GENERAL, None, 8, Status.OK, "8 (nnU-Net's default) for 8 CPUs"),
        (GENERAL, "2", 2, Status.OK, "2 for 2 CPUs"),
        (
            GENERAL,
            None,
            2,
            Status.WARNING,
            "8 (nnU-Net's default) for 2 CPUs: slower than 2, and more memory",
        ),
        (GENERAL, "9", 8, Status.WARNING, "9 for 8 CPUs: slower than 8, and more memory"),
        (GENERAL, "0", 8, Status.PROBLEM, "'0' is not a number of processes; nnU-Net fails on it"),
        (GENERAL, "two", 8, Status.PROBLEM, "'two' is not a number of processes; nnU-Net fails on it"),
        (AUGMENTATION, None, 16, Status.OK, "12 (nnU-Net's default) for 16 CPUs"),
        (AUGMENTATION, None, 2, Status.OK, "2 (nnU-Net's default) for 2 CPUs"),
        (AUGMENTATION, "12", 2, Status.OK, "12, which nnU-Net caps at 2 for 2 CPUs"),
        (AUGMENTATION, "-1", 2, Status.PROBLEM, "'-1' is not a number of processes; nnU-Net fails on it"),
    ],
)
def test_processes_are_compared_with_the_cpus(monkeypatch, variable, value, cpus, status, found):
    set_variable(monkeypatch, variable, value)
    diagnosis = check_variable(variable, cpus=cpus, all_cpus=cpus)
    assert (diagnosis.status, diagnosis.found) == (status, found)
    assert diagnosis.remedy == ("" if status is Status.OK else f"export {variable}={cpus}")


def test_a_share_of_the_machine_is_what_counts(monkeypatch):
    set_variable(monkeypatch, AUGMENTATION, None)
    diagnosis = check_variable(AUGMENTATION, cpus=4, all_cpus=64)
    assert diagnosis.status is Status.WARNING
    assert diagnosis.found.startswith("12 (nnU-Net's default) for 4 CPUs")


def test_no_augmentation_process_is_a_warning_for_the_planner(monkeypatch):
    monkeypatch.setenv(AUGMENTATION, "0")
    diagnosis = check_variable(AUGMENTATION, cpus=2, all_cpus=2)
    assert diagnosis.status is Status.WARNING
    assert "nnUNetv2_plan_and_preprocess crashes" in diagnosis.found


def test_both_variables_are_checked():
    assert [diagnosis.title for diagnosis in check_workers()] == [GENERAL, AUGMENTATION]


@pytest.mark.parametrize("value", [None, ""])
def test_an_unset_seed_is_not_reported(monkeypatch, value):
    set_variable(monkeypatch, "PANCEXT_SEED", value)
    assert list(check_seed()) == []


@pytest.mark.parametrize(
    ("value", "status"), [("7", Status.OK), ("seven", Status.PROBLEM), ("-1", Status.PROBLEM)]
)
def test_the_seed_is_judged_as_trainings_do(monkeypatch, value, status):
    monkeypatch.setenv("PANCEXT_SEED", value)
    (diagnosis,) = check_seed()
    assert diagnosis.status is status
    assert ("whole number" in diagnosis.remedy) == (status is Status.PROBLEM)


@pytest.mark.parametrize(
    ("value", "statuses"), [(None, []), ("", []), ("5", [Status.OK]), ("often", [Status.PROBLEM])]
)
def test_the_progress_interval_is_judged_as_trainings_do(monkeypatch, value, statuses):
    set_variable(monkeypatch, "PANCEXT_PROGRESS_SECONDS", value)
    assert [diagnosis.status for diagnosis in check_progress_interval()] == statuses
