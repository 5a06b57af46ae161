"""What the jobs of a campaign ask Slurm for."""

import argparse

import pytest

from nnunet_pancext.campaign.slurm.options import SlurmOptions, from_json, minutes, signal_delay_s, time_text
from nnunet_pancext.cli.campaign_slurm import add_slurm_options, slurm_options
from nnunet_pancext.errors import PancextError


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("90", 90),
        ("90:00", 90),
        ("90:01", 91),
        ("24:00:00", 1440),
        ("0:30:00", 30),
        ("2-0", 2880),
        ("2-12", 3600),
        ("2-12:30", 3630),
        ("2-00:00:00", 2880),
        ("1-01:01:01", 1502),
        ("infinite", 0),
        ("UNLIMITED", 0),
    ],
)
def test_a_time_limit_is_read_as_slurm_reads_it(time, expected):
    assert minutes(time) == expected


@pytest.mark.parametrize("time", ["", "a day", "24h", "1:2:3:4", "-5", "2-", "1.5"])
def test_a_time_that_slurm_does_not_know_is_refused(time):
    with pytest.raises(PancextError, match=r"is not a Slurm time\. Write 24:00:00, 2-00:00:00, or minutes\."):
        minutes(time)


def test_no_time_at_all_is_refused():
    with pytest.raises(PancextError, match="--time '0:00:00' leaves a job no time"):
        SlurmOptions(time="0:00:00")


@pytest.mark.parametrize(
    ("limit", "text"), [(0, "no limit"), (1, "00:01:00"), (240, "04:00:00"), (3630, "2-12:30:00")]
)
def test_a_limit_is_shown_as_slurm_writes_it(limit, text):
    assert time_text(limit) == text
    assert minutes(text) == limit if limit else True


@pytest.mark.parametrize(("limit", "seconds"), [(0, 120), (1, 20), (5, 100), (6, 120), (1440, 120)])
def test_the_signal_comes_early_but_leaves_a_short_job_time_to_work(limit, seconds):
    assert signal_delay_s(limit) == seconds


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("time=1:00:00", "give it as --time"),
        ("cpus-per-task=4", "give it as --cpus"),
        ("cpus_per_task=4", "give it as --cpus"),
        ("--mem=4G", "give it as --memory"),
        ("dependency=afterok:1", "a campaign sets dependency itself. Omit it."),
        ("no-requeue", "a campaign sets no-requeue itself"),
        ("output=log.txt", "a campaign sets output itself"),
        ("=4", "is not KEY=VALUE"),
        ("mail type=FAIL", "is not KEY=VALUE"),
        ("exclusive\n#SBATCH", "is not KEY=VALUE"),
    ],
)
def test_pairs_that_a_campaign_cannot_pass_on_are_refused(pair, message):
    with pytest.raises(PancextError, match=message):
        SlurmOptions(extra=(pair,))


def test_a_campaign_needs_a_cpu():
    with pytest.raises(PancextError, match="--cpus is 0; it must be at least 1"):
        SlurmOptions(cpus=0)


def test_a_later_run_keeps_what_it_does_not_change():
    earlier = SlurmOptions(partition="gpu", gres="gpu:1", time="24:00:00", extra=("exclusive",))
    later = SlurmOptions(time="2-00:00:00", gres="").over(earlier)
    assert later == SlurmOptions(partition="gpu", gres="", time="2-00:00:00", extra=("exclusive",))


def test_options_survive_the_file():
    options = SlurmOptions(partition="gpu", cpus=8, extra=("mail-type=FAIL", "exclusive"))
    content = {**options.as_json(), "extra": list(options.extra), "of_a_later_version": 1}
    assert from_json(content) == options


def test_the_parameters_of_a_step_on_a_gpu():
    options = SlurmOptions(partition="gpu", gres="gpu:1", memory="48G", extra=("mail-type=FAIL", "exclusive"))
    assert options.parameters(uses_gpu=True, time=1440, folder="/c") == {
        "partition": "gpu",
        "mem": "48G",
        "gres": "gpu:1",
        "time": 1440,
        "cpus_per_task": 12,
        "srun_args": ["--cpus-per-task=12"],
        "signal_delay_s": 120,
        "wckey": None,
        "additional_parameters": {
            "mail-type": "FAIL",
            "exclusive": True,
            "requeue": True,
            "kill-on-invalid-dep": "yes",
            "chdir": "/c",
        },
    }


def test_a_step_without_gpu_asks_for_none():
    parameters = SlurmOptions(gres="gpu:1", account="").parameters(uses_gpu=False, time=60, folder="/c")
    assert "gres" not in parameters
    assert "account" not in parameters


def test_the_command_line_gives_the_options():
    parser = argparse.ArgumentParser()
    add_slurm_options(parser)
    line = "--partition gpu --account lab --time 1-0 --memory 48G --gres gpu:1 --qos long --cpus 6"
    parsed = parser.parse_args(
        [*line.split(), "--constraint", "a100", "--sbatch", "mail-type=FAIL", "--sbatch", "exclusive"]
    )
    assert slurm_options(parsed) == SlurmOptions(
        partition="gpu",
        account="lab",
        time="1-0",
        memory="48G",
        gres="gpu:1",
        qos="long",
        cpus=6,
        constraint="a100",
        extra=("mail-type=FAIL", "exclusive"),
    )
    assert slurm_options(parser.parse_args([])) == SlurmOptions()
    assert slurm_options(parser.parse_args(["--sbatch", ""])) == SlurmOptions(extra=())
