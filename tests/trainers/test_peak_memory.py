"""The line on peak memory at the end of a training's log."""

import re
import sys

import pytest
import torch

from nnunet_pancext.nnunet_files.training_log import PEAK
from nnunet_pancext.trainers.machinery.peak_memory import peak_memory_message


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell the peak")
def test_the_peak_grows_with_allocated_memory():
    def peak() -> float:
        message = peak_memory_message(torch.device("cpu"))
        assert message is not None
        found = re.fullmatch(r"Peak memory: (\d+\.\d\d) GB in the training process", message)
        assert found is not None
        return float(found[1])

    before = peak()
    held = torch.ones(int(before * 1e9 / 4) + 50_000_000)
    assert peak() >= before + 0.19
    assert held[0] == 1


def test_a_gpus_peak_is_pytorchs(monkeypatch):
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 7_250_000_000)
    message = peak_memory_message(torch.device("cuda"))
    assert message == "Peak memory: 7.25 GB on the GPU"
    assert PEAK.search(f"2026-11-20 10:01:00.000000: {message} ")[1] == "7.25"


def test_other_devices_tell_nothing():
    assert peak_memory_message(torch.device("meta")) is None
