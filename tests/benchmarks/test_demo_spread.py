"""The benchmark of the demo's spread runs the demo and adds up what it wrote."""

import importlib
import subprocess
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("demo_spread")


def fake_demo(monkeypatch, script, *, code=0):
    """Let the demo write a Dice by its seed; return the environments that it was run in."""
    environments = []

    def run(words, *, env, **options):
        environments.append(env)
        out = Path(words[words.index("--out") + 1])
        dice = 0.7 + 0.01 * int(env["PANCEXT_SEED"])
        (out / "metrics.csv").write_text(
            f"case,label,dice\na,pancreas,{dice}\nb,pancreas,{dice + 0.1}\n", encoding="utf-8"
        )
        return subprocess.CompletedProcess(words, code, stdout="out of memory")

    monkeypatch.setattr(script.subprocess, "run", run)
    return environments


def test_a_row_for_each_run_and_their_spread(script, monkeypatch, capsys):
    environments = fake_demo(monkeypatch, script)
    monkeypatch.setattr("sys.argv", ["demo_spread.py", "--seeds", "1", "3", "--sets", "AVX2"])
    script.main()
    shown = capsys.readouterr().out
    assert "| 1 | AVX2 | 0.760 | 0.710 |" in shown
    assert "| 3 | AVX2 | 0.780 | 0.730 |" in shown
    assert "2 runs: mean 0.770, SD 0.014, worst 0.760, best 0.780" in shown
    assert {environment["ATEN_CPU_CAPABILITY"] for environment in environments} == {"avx2"}
    assert {environment["ONEDNN_MAX_CPU_ISA"] for environment in environments} == {"AVX2"}


def test_demos_at_once_have_a_thread_each(script, monkeypatch, capsys):
    environments = fake_demo(monkeypatch, script)
    words = ["demo_spread.py", "--seeds", "0", "1", "--sets", "own", "--jobs", "2"]
    monkeypatch.setattr("sys.argv", words)
    script.main()
    assert {
        (environment["OMP_NUM_THREADS"], environment["OMP_WAIT_POLICY"]) for environment in environments
    } == {("1", "PASSIVE")}


def test_a_demo_that_fails_is_no_row(script, monkeypatch):
    fake_demo(monkeypatch, script, code=1)
    with pytest.raises(RuntimeError, match="seed 5 under own failed:\nout of memory"):
        script.run_demo(5, "own", threads=None, options=[])


@pytest.mark.parametrize(("capability", "coincide"), [("AVX2", True), ("AVX512", False)])
def test_a_cpu_without_avx_512_says_that_two_sets_coincide(script, monkeypatch, capability, coincide):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert ("own and AVX2 coincide here" in script.machine()) is coincide
