"""The benchmark of campaigns measures processes with all that they start, in runs alone and at once."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from nnunet_pancext.campaign.record import read_record

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
BUSY = "import time\nwhile time.process_time() < 0.3: pass"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script under a name of its own: the tests have a folder that is called as it is."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    spec = importlib.util.spec_from_file_location("benchmark_campaign", BENCHMARKS / "campaign.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "benchmark_campaign", module)
    spec.loader.exec_module(module)
    for name in ("PYTHONPATH", *module.QUIET):  # the script sets them
        monkeypatch.setenv(name, "")
    return module


def test_processor_time_is_that_of_all_processes(script: ModuleType):
    through_another = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}])"
    cost = script.measure((sys.executable, "-c", BUSY), (sys.executable, "-c", through_another))
    assert cost.processor >= 0.6
    assert cost.clock > 0


def test_a_command_that_fails_ends_it(script: ModuleType):
    with pytest.raises(SystemExit, match=r"(?s)ended with \[0, 3\]:.*why"):
        script.measure((sys.executable, "-c", ""), (sys.executable, "-c", "print('why'); exit(3)"))


def test_the_middle_is_taken_of_each_time(script: ModuleType):
    costs = [script.Cost(1, 30), script.Cost(3, 10), script.Cost(2, 20)]
    assert str(script.middle(costs)) == "20.00 (2.00)"
    assert script.Cost(5, 4) - script.Cost(1, 1) * 2 == script.Cost(3, 2)


@pytest.mark.slow
def test_the_parts_of_two_runs_at_once_are_counted_once(script: ModuleType, tmp_path: Path):
    script.install_waiting(tmp_path)
    folder = script.waiting_campaign(tmp_path / "campaign", steps=2, seconds=0)
    cost, parts = script.measure_campaign(folder, runs=2)
    attempts = [read_record(folder, f"wait-{number}").attempts for number in range(2)]
    assert [len(of) for of in attempts] == [1, 1]
    assert parts == sum(of[0].seconds for of in attempts)
    assert cost.clock > parts > 0


@pytest.mark.slow
def test_a_smoke_run_prints_what_waiting_costs(
    script: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr("sys.argv", ["campaign.py", str(tmp_path), "--smoke"])
    script.main()
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if line.startswith("| a")]
    assert [row[1].strip() for row in rows] == [
        *("a step", "a step more in a run", "a run, beside its steps"),
        *("an hour of a step", "an hour of its run"),
    ]
    assert 0 < float(rows[0][2].split()[0]) < 60
