"""A whole campaign that is killed at random moments ends as an undisturbed one, and does nothing twice."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from contracts.whole_campaign import (
    EPOCHS,
    TRAINERS,
    Kill,
    WholeCampaign,
    make_raw,
    random_kills,
    wait_for_moment,
)

from nnunet_pancext.campaign.definition import open_campaign
from nnunet_pancext.campaign.lease import current_owner
from nnunet_pancext.campaign.record import log_file

EQUAL = (
    "campaign/comparison/comparison.csv",
    "campaign/comparison/statistics.csv",
    "campaign/comparison/strata.csv",
    "campaign/predictions/**/*.nii.gz",
    "campaign/scores/**/metrics.csv",
    "nnUNet_results/**/validation/*.n*",
    "nnUNet_preprocessed/**/*.b2nd",
    "nnUNet_preprocessed/*/splits_final.json",
)


def equal_files(campaign: WholeCampaign) -> dict[str, bytes]:
    """Return the outputs that must be the same, by their paths."""
    return {
        str(path.relative_to(campaign.root)): path.read_bytes()
        for pattern in EQUAL
        for path in campaign.root.glob(pattern)
    }


def epochs_begun(campaign: WholeCampaign) -> int:
    """Return how many epochs all trainings have begun, by their logs."""
    logs = [log_file(campaign.folder, step.name) for step in campaign.steps if step.kind == "train"]
    text = "".join(log.read_text(encoding="utf-8") for log in logs)
    return len(re.findall(r"Epoch \d+ *$", text, re.MULTILINE))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> WholeCampaign:
    """A campaign that was run to its end at once."""
    campaign = WholeCampaign(tmp_path_factory.mktemp("undisturbed"))
    campaign.plan(make_raw(campaign.root))
    assert campaign.run() == 0, campaign.log
    return campaign


def check_kills(undisturbed: WholeCampaign, root: Path, *, seed: int, number: int) -> None:
    """Kill a campaign at random moments, run it to the end, and compare."""
    expected = equal_files(undisturbed)
    assert len([name for name in expected if name.endswith(".csv")]) == 3 + len(TRAINERS)
    campaign = replace(undisturbed, root=root)
    campaign.plan(undisturbed.root / "raw")
    open_campaign(campaign.folder)
    kills = random_kills(undisturbed, seed=seed, number=number)
    whole: dict[Path, tuple[int, int]] = {}
    done: dict[str, int] = {}
    run = campaign.start()
    left = list(kills)
    while left:
        kill, run = wait_for_moment(campaign, left, run)
        left.remove(kill)
        campaign.kill(run, kill.what)
        whole |= campaign.whole_files(undisturbed)
        records = {step.name: campaign.attempts(step.name) for step in campaign.steps}
        done |= {name: len(of) for name, of in records.items() if of and of[-1].outcome == "done"}
    run.wait()
    assert campaign.run() == 0, (kills, campaign.log)

    assert equal_files(campaign) == expected, kills
    assert whole
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in whole} == whole, kills
    assert {name: len(campaign.attempts(name)) for name in done} == done, kills
    assert epochs_begun(undisturbed) == len(undisturbed.folds) * len(TRAINERS) * EPOCHS
    assert epochs_begun(campaign) <= epochs_begun(undisturbed) + len(kills)
    check_nothing_is_left(campaign)


def check_nothing_is_left(campaign: WholeCampaign) -> None:
    assert not [*campaign.supervisors(), *campaign.commands()]
    assert not [path for path in campaign.root.rglob("*.lease") if current_owner(path)]


@pytest.mark.slow
def test_a_campaign_of_one_fold_killed_in_a_training(tmp_path: Path):
    """The tests below kill at more moments, and compare every file with those of an undisturbed campaign."""
    campaign = WholeCampaign(tmp_path, folds=("0",))
    campaign.plan(make_raw(tmp_path))
    open_campaign(campaign.folder)
    training = next(step.name for step in campaign.steps if step.kind == "train")
    kill, run = wait_for_moment(campaign, [Kill(step=training, seconds=4.0, what="all")], campaign.start())
    campaign.kill(run, kill.what)
    records = {step.name: campaign.attempts(step.name) for step in campaign.steps}
    done = {name: of for name, of in records.items() if of and of[-1].outcome == "done"}
    assert done
    assert campaign.run() == 0, campaign.log

    assert all(step.is_done(campaign.folder) for step in campaign.steps)
    scores = (campaign.folder / "comparison" / "comparison.csv").read_text(encoding="utf-8")
    assert all(trainer in scores for trainer in TRAINERS)
    for name, attempts in done.items():
        assert campaign.attempts(name) == attempts
    assert len(TRAINERS) * EPOCHS <= epochs_begun(campaign) <= len(TRAINERS) * EPOCHS + 1
    check_nothing_is_left(campaign)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", [2, 3])  # twenty in all
def test_a_campaign_killed_at_ten_random_moments(undisturbed: WholeCampaign, tmp_path: Path, seed: int):
    check_kills(undisturbed, tmp_path, seed=seed, number=10)
