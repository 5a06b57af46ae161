"""What is submitted to Slurm, and what is said where it cannot be; Slurm's commands are scripts of a line."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from contracts.script_step import make_campaign
from contracts.slurm_steps import quick, training

from nnunet_pancext.campaign.lease import Held, Lease
from nnunet_pancext.campaign.record import cancel_file, lease_file
from nnunet_pancext.campaign.slurm.options import SlurmOptions
from nnunet_pancext.campaign.slurm.queue import (
    Submission,
    Submissions,
    cancel_jobs,
    is_running,
    job_log,
    queue_states,
    read_submissions,
    time_limit,
    write_submissions,
)
from nnunet_pancext.campaign.slurm.submission import run_slurm
from nnunet_pancext.campaign.slurm.task import StepTask, _remove_partial_files
from nnunet_pancext.cli.main import main
from nnunet_pancext.errors import PancextError

pytest.importorskip("submitit")

PARTITIONS = "gpu|2-00:00:00\nmain*|4:00:00\nlong|infinite\nshort|30:00"
SBATCH = """\
n=$(ls "$0".job* 2>/dev/null | wc -l)
[ "$n" -ge "$(cat "$0".most)" ] && { cat "$0".error >&2; exit 1; }
cp "$1" "$0".job$n; env > "$0".env; echo "Submitted batch job $((100 + n))"
"""
Commands = Callable[..., Path]


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Return what writes a command of Slurm as a shell script on the PATH; all that are needed are there."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def write(name: str, script: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    for name, script in (
        ("sinfo", f"echo '{PARTITIONS}'"),
        ("squeue", ":"),
        ("srun", ":"),
        ("sbatch", SBATCH),
    ):
        write(name, script)
    (folder / "sbatch.most").write_text("99", encoding="utf-8")
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return write


@pytest.fixture
def folder(script_kinds: None, tmp_path: Path) -> Path:
    """A campaign: a preprocessing, two folds, and the comparison."""
    folds = [training(f"train-{fold}", "preprocess") for fold in (0, 1)]
    folder = tmp_path / "campaign"
    make_campaign(folder, [quick("preprocess"), *folds, quick("compare", "train-0", "train-1")])
    return folder


def scripts(commands: Commands) -> list[list[str]]:
    """Return the options of each job that was submitted."""
    jobs = sorted(commands("nothing", ":").parent.glob("sbatch.job*"))
    return [
        [
            line.removeprefix("#SBATCH ")
            for line in job.read_text(encoding="utf-8").splitlines()
            if "SBATCH" in line
        ]
        for job in jobs
    ]


def test_each_job_waits_for_the_jobs_of_what_it_needs(commands, folder):
    options = SlurmOptions(partition="gpu", gres="gpu:1", time="1-0", memory="48G", account="lab", qos="q")
    assert run_slurm(folder, options) == {
        "preprocess": "100",
        "train-0": "101_0",
        "train-1": "101_1",
        "compare": "102",
    }
    preprocess, train, compare = scripts(commands)
    assert not any("dependency" in option for option in preprocess)
    assert "--dependency=afterok:100" in train
    assert "--dependency=afterok:101_0:101_1" in compare
    assert {"--gres=gpu:1", "--array=0-1%2", "--job-name=gpu_script"} <= set(train)
    assert not any("gres" in option or "array" in option for option in preprocess + compare)
    for job in (preprocess, train, compare):
        assert {"--requeue", "--kill-on-invalid-dep=yes", "--time=1440", "--signal=USR2@120"} <= set(job)
        assert {"--partition=gpu", "--mem=48G", "--account=lab", "--qos=q", "--cpus-per-task=12"} <= set(job)
        assert not any("wckey" in option for option in job)


def test_a_later_run_uses_the_options_of_the_one_before(commands, folder):
    run_slurm(folder, SlurmOptions(partition="long", cpus=3), steps=["preprocess"])
    (folder / "preprocess.out").touch()
    run_slurm(folder, SlurmOptions(time="90"))
    last = scripts(commands)[-1]
    assert {"--partition=long", "--cpus-per-task=3", "--time=90"} <= set(last)
    assert "--dependency=afterok:103_0:103_1" in last
    assert read_submissions(folder).options == SlurmOptions(partition="long", cpus=3, time="90")


def test_steps_that_run_elsewhere_are_left_alone_with_what_needs_them(commands, folder, capsys):
    with Lease(lease_file(folder, "train-0")):
        assert set(run_slurm(folder)) == {"preprocess", "train-1"}
    assert capsys.readouterr().out.startswith(
        "train-0: running, but not as a Slurm job. compare: not submitted, because it depends on that. Run"
    )


def test_a_submission_forgets_that_its_steps_were_cancelled(commands, folder):
    cancel_file(folder, "train-0").parent.mkdir()
    cancel_file(folder, "train-0").touch()
    run_slurm(folder)
    assert not cancel_file(folder, "train-0").exists()


def test_only_one_process_submits_at_a_time(commands, folder):
    with (
        Lease(folder / "slurm" / "submitting.lease"),
        pytest.raises(Held, match=r"submitting\.lease is held by"),
    ):
        run_slurm(folder)
    assert scripts(commands) == []


def test_jobs_do_not_inherit_the_requests_of_a_job(commands, folder, monkeypatch):
    for name in ("SLURM_MEM_PER_CPU", "SLURM_JOB_ID", "SRUN_CPUS_PER_TASK", "SLURM_CONF", "SBATCH_ACCOUNT"):
        monkeypatch.setenv(name, "7")
    run_slurm(folder)
    environment = commands("sbatch.env.reader", ":").with_name("sbatch.env").read_text(encoding="utf-8")
    names = {line.partition("=")[0] for line in environment.splitlines()}
    assert {"SLURM_CONF", "SBATCH_ACCOUNT"} <= names
    assert not {"SLURM_MEM_PER_CPU", "SLURM_JOB_ID", "SRUN_CPUS_PER_TASK"} & names
    assert os.environ["SLURM_MEM_PER_CPU"] == "7"


def test_what_was_submitted_before_slurm_refused_more_is_kept(commands, folder):
    sbatch = commands("sbatch", SBATCH)
    sbatch.with_name("sbatch.most").write_text("2", encoding="utf-8")
    error = "sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Job submission failed: Job violates policy"
    sbatch.with_name("sbatch.error").write_text(error, encoding="utf-8")
    with pytest.raises(PancextError) as caught:
        run_slurm(folder)
    assert str(caught.value) == (
        "compare: Slurm refuses the job: sbatch: error: AssocMaxSubmitJobLimit; sbatch: error: Job "
        "submission failed: Job violates policy. 3 steps had been submitted before; run again for the others."
    )
    assert set(read_submissions(folder).jobs) == {"preprocess", "train-0", "train-1"}


def test_a_campaign_on_a_gpu_without_gres_is_warned_of(commands, folder, capsys):
    path = folder / "campaign.toml"
    path.write_text(
        path.read_text(encoding="utf-8").replace('device = "cpu"', 'device = "cuda"'), encoding="utf-8"
    )
    run_slurm(folder)
    assert "Without --gres, such as --gres gpu:1, the jobs request no GPU." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"partition": "gpus"}, r"no partition gpus\. Choose from: gpu, main, long, short\."),
        ({"partition": "gpu,none"}, "no partition none"),
        (
            {"time": "5:00:00"},
            r"--time 5:00:00 exceeds the partition's limit, 04:00:00\. Give at most that",
        ),
        ({"time": "UNLIMITED"}, "exceeds the partition's limit"),
        ({"partition": "gpu,short", "time": "31"}, "exceeds the partition's limit, 00:30:00"),
    ],
)
def test_a_wish_that_the_cluster_cannot_meet_is_refused(commands, folder, options, message):
    with pytest.raises(PancextError, match=message):
        run_slurm(folder, SlurmOptions(**options))
    assert scripts(commands) == []


@pytest.mark.parametrize(
    ("partition", "limit"), [(None, 240), ("gpu", 2880), ("long", 0), ("long,short", 30)]
)
def test_the_time_limit_is_the_partitions(commands, partition, limit):
    assert time_limit(partition) == limit


def test_without_a_default_partition_sbatch_decides(commands):
    commands("sinfo", "echo 'gpu|1:00:00'")
    assert time_limit(None) == 0


def test_without_submitit_the_extra_is_named(folder, commands, monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(PancextError, match=r'Install the extra: pip install "nnunet-pancext\[slurm\]"'):
        run_slurm(folder)


def test_a_machine_without_slurm_is_told_from_a_login_node(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PancextError, match=r"sbatch or srun is not on the PATH\. Run this on a login node"):
        run_slurm(folder)
    write_submissions(folder, Submissions(jobs={"train-0": Submission(job="7", name="train-0", submitted=0)}))
    with pytest.raises(PancextError, match="There is no squeue on the PATH"):
        queue_states(folder)


def test_a_folder_whose_name_slurm_would_change_is_refused(commands, folder):
    with pytest.raises(PancextError, match=r"because of the %\. Rename the folder"):
        run_slurm(folder.rename(folder.with_name("50%")))


def test_a_folder_that_cannot_be_written_is_refused(commands, folder):
    (folder / "slurm").touch()
    with pytest.raises(PancextError, match=r"Cannot write .*submitting\.lease"):
        run_slurm(folder)


def test_a_disk_that_is_full_is_told(commands, folder, monkeypatch):
    from submitit.core import utils

    def dump(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(utils, "cloudpickle_dump", dump)
    with pytest.raises(
        PancextError, match=r"slurm: No space left on device\. Free some space, and run again"
    ):
        run_slurm(folder)
    assert read_submissions(folder) is None


def test_an_error_of_slurm_is_passed_on(commands, folder):
    commands("squeue", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1")
    run_slurm(folder)
    with pytest.raises(
        PancextError,
        match="refuses squeue, or cannot be reached: slurm_load_jobs error: Unable to contact",
    ):
        run_slurm(folder)


@pytest.mark.parametrize(
    "text", ['{"jobs": 3, "options": {}}', '{"jobs": {"a": {"id": 1}}, "options": {}}', "{}"]
)
def test_a_damaged_record_of_jobs_says_how_to_go_on(commands, folder, text):
    (folder / "slurm").mkdir()
    (folder / "slurm" / "submissions.json").write_text(text, encoding="utf-8")
    with pytest.raises(
        PancextError, match=r"is not a record of jobs .* Remove it, and cancel the campaign's jobs"
    ):
        run_slurm(folder)


def test_the_queue_shows_the_campaigns_own_jobs(commands, folder):
    jobs = {
        name: Submission(job=job, name=f"n{job}", submitted=0)
        for name, job in (("a", "7"), ("b", "8_1"), ("c", "9"))
    }
    write_submissions(folder, Submissions(jobs=jobs))
    rows = [
        "7|RUNNING|n1|2026-01-02T03:04:05|2026-01-01T00:00:00|None|n7",
        "8_1|PENDING||N/A|2026-01-01T00:00:00|Dependency|n8_1",
        "9|RUNNING|n2|2026-01-01T00:00:00|2026-01-01T00:00:00|None|somebody else's | since ids began anew",
    ]
    commands("squeue", "\n".join(f"echo '{row.replace(chr(39), '')}'" for row in rows))
    commands("scancel", 'echo "$@" > "$0".ids')
    states = queue_states(folder)
    assert {name: (state.job, state.state, state.reason, state.node) for name, state in states.items()} == {
        "a": ("7", "RUNNING", "None", "n1"),
        "b": ("8_1", "PENDING", "Dependency", ""),
    }
    assert states["a"].since - states["b"].since == (24 + 3) * 3600 + 4 * 60 + 5
    assert cancel_jobs(folder, ["b", "c"]) == ["b"]
    assert commands("x", ":").with_name("scancel.ids").read_text(encoding="utf-8") == "--quiet 8_1\n"


def test_a_campaign_that_was_never_submitted_asks_slurm_nothing(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert queue_states(folder) == {}
    assert cancel_jobs(folder, ["train-0"]) == []
    assert job_log(folder, "train-0") is None


@pytest.mark.parametrize(
    ("script", "expected"),
    [("echo 'JobState=RUNNING Reason=None'", True), ("echo JobState=COMPLETING", False), ("exit 1", False)],
)
def test_a_job_runs_only_if_slurm_says_so(commands, script, expected):
    commands("scontrol", script)
    assert is_running("7") is expected


def test_the_files_that_a_killed_job_was_writing_are_removed(tmp_path):
    for name in ("7_submitted.pkl", "7_submitted.pkl.save_tmp"):
        (tmp_path / name).touch()
    _remove_partial_files(tmp_path / "7_submitted.pkl", tmp_path / "7_0_result.pkl")
    assert [path.name for path in tmp_path.iterdir()] == ["7_submitted.pkl"]


def test_a_task_before_its_step_has_begun_is_requeued_as_it_is(tmp_path):
    again = StepTask(tmp_path, "train-0").checkpoint().function
    assert (again.folder, again.name) == (tmp_path, "train-0")


def test_what_jobs_ask_for_needs_slurm(folder, capsys):
    assert main(["campaign", "run", str(folder), "--time", "60", "--gres", "gpu:1"]) == 1
    assert "Options of Slurm jobs (time, gres) need --on slurm. Add it." in capsys.readouterr().err


def test_the_command_line_submits(commands, folder, capsys):
    line = ["campaign", "run", str(folder), "--on", "slurm", "--partition", "gpu", "--cpus", "2"]
    assert main([*line, "--sbatch", "mail-type=FAIL", "--sbatch", "exclusive"]) == 0
    assert (
        "Submitted 4 steps; time limit of each: 2-00:00:00, the partition's own." in capsys.readouterr().out
    )
    assert {"--mail-type=FAIL", "--exclusive", "--cpus-per-task=2"} <= set(scripts(commands)[0])
