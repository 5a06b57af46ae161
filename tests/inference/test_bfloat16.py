"""Convolutions in bfloat16: where they are used, and that little is lost."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from contracts.loaded_folds import Threshold, folds_of
from torch import nn

from nnunet_pancext.inference import bf16_probe, fast
from nnunet_pancext.inference.bf16_probe import bfloat16_pays, is_correct_and_faster


@pytest.fixture(autouse=True)
def _anew():
    bfloat16_pays.cache_clear()
    yield
    bfloat16_pays.cache_clear()


@pytest.mark.parametrize(("code", "pays"), [("0", True), ("1", False), ("-11", False)])
def test_the_probes_process_decides(code, pays, monkeypatch):
    """A process that the processor kills for an unknown instruction ends with a negative code."""
    monkeypatch.setattr(
        bf16_probe, "RUN", f"import os, sys; c = {code}; sys.exit(c) if c >= 0 else os.kill(os.getpid(), -c)"
    )
    assert bfloat16_pays(1) is pays


def test_a_probe_that_does_not_end_decides_against(monkeypatch):
    monkeypatch.setattr(bf16_probe, "SECONDS", 0.1)
    monkeypatch.setattr(bf16_probe, "RUN", "import time; time.sleep(9)")
    assert bfloat16_pays(1) is False


def test_the_probe_runs_and_is_run_once(monkeypatch):
    commands = []

    def run(command, **options):
        commands.append(command)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(bf16_probe.subprocess, "run", run)
    assert bfloat16_pays(2)
    assert bfloat16_pays(2)
    (command,) = commands
    assert command[0] == sys.executable
    monkeypatch.undo()
    assert subprocess.run(command, check=False).returncode in (0, 1)  # nothing else went wrong


@pytest.mark.parametrize(
    ("error", "seconds", "pays"),
    [(0.0, (2.0, 1.0), True), (0.0, (1.0, 1.0), False), (0.5, (2.0, 1.0), False)],
)
def test_what_is_wrong_or_not_faster_does_not_pay(error, seconds, pays, monkeypatch):
    class Network(nn.Module):
        def forward(self, image):
            is_half = torch.is_autocast_enabled("cpu")
            clock[0] += seconds[is_half]
            return image + error * image * is_half

    clock = [0.0]
    monkeypatch.setattr(bf16_probe.torch.nn, "Sequential", lambda *layers: Network())
    monkeypatch.setattr(bf16_probe, "perf_counter", lambda: clock[0])
    assert is_correct_and_faster() is pays


def test_it_is_used_in_2d_alone_on_a_cpu(monkeypatch):
    monkeypatch.setattr(fast, "bfloat16_pays", lambda threads: True)
    flat = folds_of([Threshold(2, heads=3)], configuration="2d", patch=(16, 16))
    assert fast.convolutions_type(flat) == torch.bfloat16
    assert fast.convolutions_type(folds_of([Threshold(3, heads=3)])) == torch.float16
    monkeypatch.setattr(fast, "bfloat16_pays", lambda threads: False)
    assert fast.convolutions_type(flat) == torch.float16


@pytest.mark.parametrize(
    ("capability", "expected"), [((7, 5), torch.float16), ((8, 0), torch.bfloat16), ((12, 0), torch.bfloat16)]
)
def test_it_is_used_on_gpus_that_compute_in_it(capability, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    folds = folds_of([Threshold(3, heads=3)])
    folds.device = torch.device("cuda")
    assert fast.convolutions_type(folds) == expected


def test_mirrorings_are_averaged_in_single_precision():
    class Network(Threshold):
        def forward(self, window):
            self.calls += 1
            assert torch.get_autocast_dtype("cpu") == torch.bfloat16
            assert torch.is_autocast_enabled("cpu")
            # of 4 mirrorings 3 add what bfloat16 would lose beside 256
            return torch.full_like(window, 256.0 if self.calls == 1 else 1.0).bfloat16()

    folds = folds_of([Network(2, heads=1)], configuration="2d", patch=(16, 16))
    logits = folds.logits_of_window(torch.zeros(1, 1, 16, 16), fold=0, axes=(0, 1), half=torch.bfloat16)
    assert logits.dtype == torch.float32
    assert (logits == 259 / 4).all()
    assert folds.predictor.network is folds.networks[0]
