"""Graphics card and memory."""

import shutil
import sys
from types import SimpleNamespace

import psutil
import pytest

from nnunet_pancext.doctor.check import Status
from nnunet_pancext.doctor.machine import GIB, check_gpu, check_memory


def pretend_torch(monkeypatch, *, cards=(), mps=False, cuda_build="13.0"):
    cuda = SimpleNamespace(
        is_available=lambda: bool(cards),
        device_count=lambda: len(cards),
        get_device_properties=lambda number: cards[number],
    )
    torch = SimpleNamespace(
        cuda=cuda,
        backends=SimpleNamespace(mps=SimpleNamespace(is_available=lambda: mps)),
        version=SimpleNamespace(cuda=cuda_build),
    )
    monkeypatch.setitem(sys.modules, "torch", torch)


def test_each_card_is_named_with_its_memory(monkeypatch):
    cards = [SimpleNamespace(name=name, total_memory=24 * GIB) for name in ("RTX A", "RTX B")]
    pretend_torch(monkeypatch, cards=cards)
    diagnoses = list(check_gpu())
    assert [diagnosis.found for diagnosis in diagnoses] == ["RTX A, 24 GiB", "RTX B, 24 GiB"]
    assert [diagnosis.title for diagnosis in diagnoses] == ["GPU 0", "GPU 1"]
    assert {diagnosis.status for diagnosis in diagnoses} == {Status.OK}


@pytest.mark.parametrize(
    ("cuda_build", "driver", "is_named"),
    [(None, "/usr/bin/nvidia-smi", True), (None, None, False), ("13.0", "/usr/bin/nvidia-smi", False)],
)
def test_no_card_is_a_warning_that_names_the_option(monkeypatch, cuda_build, driver, is_named):
    pretend_torch(monkeypatch, cuda_build=cuda_build)
    monkeypatch.setattr(shutil, "which", lambda program: driver)
    (diagnosis,) = check_gpu()
    assert diagnosis.status is Status.WARNING
    assert "-device cpu" in diagnosis.remedy
    assert ("build without CUDA" in diagnosis.remedy) == is_named


def test_apple_graphics_name_their_option(monkeypatch):
    pretend_torch(monkeypatch, mps=True)
    (diagnosis,) = check_gpu()
    assert diagnosis.status is Status.OK
    assert "-device mps" in diagnosis.found


def test_broken_torch_does_not_stop_the_check(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (diagnosis,) = check_gpu()
    assert diagnosis.status is Status.WARNING
    assert diagnosis.found.startswith("not checked: ModuleNotFoundError")


@pytest.mark.parametrize(("free_gib", "status"), [(7.9, Status.WARNING), (8.1, Status.OK)])
def test_little_free_memory_is_a_warning(monkeypatch, free_gib, status):
    memory = SimpleNamespace(available=free_gib * GIB, total=16 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    (diagnosis,) = check_memory()
    assert (diagnosis.status, diagnosis.found) == (status, f"{free_gib} GiB free of 16.0 GiB")
