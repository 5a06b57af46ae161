"""Real trainings on a real Slurm: two trainers and two folds to their comparison, preempted on the way."""

from pathlib import Path

import pytest
from campaign.small_raw import use_folders, write_raw
from contracts.host_commands import SETTINGS
from contracts.slurm_cluster import SlurmCluster, running_cluster, slurm_cluster, wait_for  # noqa: F401

from nnunet_pancext.campaign.definition import open_campaign
from nnunet_pancext.campaign.record import log_file, read_record
from nnunet_pancext.campaign.slurm.queue import queue_states
from nnunet_pancext.cli.main import main

pytest.importorskip("submitit")
pytestmark = pytest.mark.exhaustive
TRAINERS = ("SegResNetNLTrainer_4epochs_5iterations", "SegResNetNL0Trainer_4epochs_5iterations")


def test_trainings_survive_a_preemption(slurm_cluster, tmp_path, monkeypatch):  # noqa: F811
    for name, value in {**SETTINGS, "nnUNet_n_proc_DA": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    use_folders(monkeypatch, tmp_path)
    write_raw(tmp_path)
    folder = tmp_path / "campaign"
    words = ["7", "-tr", *TRAINERS, "-c", "2d", "-f", "0", "1", "-device", "cpu", "--seed", "1"]
    assert main(["campaign", "plan", *words, "-o", str(folder)]) == 0
    assert main(["campaign", "run", str(folder), "--on", "slurm", "--cpus", "1"]) == 0
    trainings = [step.name for step in open_campaign(folder).steps if step.kind == "train"]
    wait_for(lambda: any(is_at_epoch(folder, name, 1) for name in trainings), "a first epoch", within_s=900)
    urgent = ("--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=sleep 3")
    slurm_cluster.slurm("sbatch", *urgent)
    wait_for(lambda: not queue_states(folder), "the end", within_s=1800)
    assert (folder / "comparison" / "comparison.csv").is_file()
    outcomes = [[attempt.outcome for attempt in read_record(folder, name).attempts] for name in trainings]
    assert all(attempts[-1] == "done" for attempts in outcomes)
    assert any(attempts == ["interrupted", "done"] for attempts in outcomes)


def is_at_epoch(folder: Path, name: str, epoch: int) -> bool:
    log = log_file(folder, name)
    return log.is_file() and f"Epoch {epoch}" in log.read_text(encoding="utf-8")
