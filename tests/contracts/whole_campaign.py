"""A whole campaign with nnU-Net's commands on tiny phantoms, which is killed at chosen moments."""

import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import psutil
from contracts.fork_pools import forking_site
from contracts.host_commands import SETTINGS
from contracts.script_step import MAIN
from contracts.started_training import STOCK, STOCK_SOURCE

from nnunet_pancext.campaign.attempt.child import MARK
from nnunet_pancext.campaign.definition import present_versions, read_campaign, write_campaign
from nnunet_pancext.campaign.lease import current_owner
from nnunet_pancext.campaign.planning.plan import Request, plan_campaign
from nnunet_pancext.campaign.record import Attempt, lease_file, read_record
from nnunet_pancext.campaign.step import Step
from nnunet_pancext.dataset_conversion.layouts.msd import convert_msd
from nnunet_pancext.phantom import write_phantom_dataset

DATASET = "Dataset007_Pancreas"
OURS = "nnUNetTrainerNonLocal_2epochs_2iterations"
TRAINERS = (OURS, STOCK)
EPOCHS = 2
EXECUTE = "nnunet_pancext.campaign.attempt.execute"
PATIENCE_S = 3600
LOOK_S = 0.3
# What ends at a kill: everything (the machine's power), a process of a step's command, the coordinator alone,
# which leaves its steps running, or the supervisors, whose steps end with them.
VICTIMS = ("all", "command", "all", "run", "all", "supervisor")


@dataclass(frozen=True, kw_only=True)
class Kill:
    """What is killed, and when: `seconds` after the start of an attempt at a step, or when it is done."""

    step: str
    seconds: float
    what: str


@dataclass(frozen=True)
class WholeCampaign:
    """A campaign in `root`; its raw dataset may be shared with others."""

    root: Path
    folds: tuple[str, ...] = ("0", "1")

    @property
    def folder(self) -> Path:
        return self.root / "campaign"

    @property
    def results(self) -> Path:
        return self.root / "nnUNet_results" / DATASET

    @property
    def preprocessed(self) -> Path:
        return self.root / "nnUNet_preprocessed" / DATASET

    @property
    def log(self) -> str:
        return (self.root / "log.txt").read_text(encoding="utf-8")

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        return read_campaign(self.folder).steps

    def plan(self, raw: Path) -> None:
        """Write the campaign: two trainers, one of them stock, and a test set."""
        trainers = self.root / "trainers" / "small_stock.py"
        trainers.parent.mkdir(parents=True)
        trainers.write_text(STOCK_SOURCE.format(epochs=EPOCHS), encoding="utf-8")
        folders = {"nnUNet_raw": str(raw)}
        for name in ("nnUNet_preprocessed", "nnUNet_results"):
            (self.root / name).mkdir()
            folders[name] = str(self.root / name)
        request = Request(
            datasets=(DATASET,),
            trainers=TRAINERS,
            configurations=("2d",),
            folds=self.folds,
            test_images=str(raw / DATASET / "imagesTs"),
            test_labels=str(raw / DATASET / "labelsTs"),
            device="cpu",
            seed=3,
        )
        campaign = plan_campaign(request, folders=folders, versions=present_versions())
        own = {
            "nnUNet_extTrainer": str(trainers.parent),
            "PYTHONPATH": forking_site(self.root / "site"),
        }
        settings = {name: value for name, value in SETTINGS.items() if name != "PANCEXT_SEED"}
        self.folder.mkdir()
        write_campaign(self.folder, replace(campaign, environment={**settings, **own}))

    def start(self) -> subprocess.Popen:
        """Start `pancext campaign run`; its output is appended to the log."""
        command = [sys.executable, "-c", MAIN, "campaign", "run", str(self.folder)]
        with (self.root / "log.txt").open("a", encoding="utf-8") as log:
            return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def run(self) -> int:
        """Run to the end; return the exit code."""
        return self.start().wait(PATIENCE_S)

    def attempts(self, step: str) -> tuple[Attempt, ...]:
        return read_record(self.folder, step).attempts

    def has_come(self, kill: Kill) -> bool:
        """Whether the moment of a kill is there or over."""
        (step,) = (step for step in self.steps if step.name == kill.step)
        attempts = self.attempts(step.name)
        runs = bool(attempts) and current_owner(lease_file(self.folder, step.name)) is not None
        is_time = runs and time.time() - attempts[-1].started >= kill.seconds
        return is_time or step.is_done(self.folder)

    def supervisors(self) -> Iterator[psutil.Process]:
        """Yield the processes that run a step."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if {EXECUTE, str(self.folder)} <= set(process.cmdline()):
                    yield process

    def commands(self) -> Iterator[psutil.Process]:
        """Yield the processes of the steps' commands, with all that they have started."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(MARK, "").startswith(f"{self.folder}:"):
                    yield process

    def kill(self, run: subprocess.Popen, what: str) -> None:
        """Kill, with SIGKILL; "command" is any one process, the oldest or youngest of its tree."""
        commands = sorted(self.commands(), key=lambda process: process.pid)
        if what == "command" and commands:
            victims = commands[-1:]
        elif what == "supervisor":
            victims = [*self.supervisors()]
        else:
            victims = [psutil.Process(run.pid)] if run.poll() is None else []
            victims += [*self.supervisors(), *commands] if what == "all" else []
        for number in (signal.SIGSTOP, signal.SIGKILL):  # none of them notices the end of another
            for process in victims:
                with suppress(psutil.Error):
                    process.send_signal(number)
        psutil.wait_procs(victims, timeout=10)

    def whole_files(self, finished: "WholeCampaign") -> dict[Path, tuple[int, int]]:
        """Return inode and modification time of all outputs that are whole now, by path.

        Whole are the files of a case whose contents are all those of `finished`, a campaign that was not
        disturbed, and what is written last and at once.
        """
        found = [path for path in self.results.glob("*/fold_*/checkpoint_final.pth") if _is_zip(path)]
        for record in (self.folder / "predictions").glob("*/*/*.json"):
            if record.stem not in ("dataset", "plans"):
                found += [record, record.with_suffix(".nii.gz")]
        cases: dict[Path, list[Path]] = {}
        for place in ("nnUNet_preprocessed", "nnUNet_results"):
            for path in (finished.root / place).rglob("*.*"):
                if path.parent.name in ("validation", "nnUNetPlans_2d", "gt_segmentations"):
                    case = path.with_name(path.name.split(".")[0].removesuffix("_seg"))
                    cases.setdefault(case, []).append(path)
        for files in cases.values():
            own = [self.root / path.relative_to(finished.root) for path in files]
            if "summary" not in files[0].name and all(map(_are_equal, files, own)):
                found += own
        return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def make_raw(root: Path) -> Path:
    """Write a raw dataset of eight phantoms, two of them for testing, and return the folder of datasets."""
    source = write_phantom_dataset(root / "source", cases=8, size=(16, 32, 32), seed=15, show_progress=False)
    convert_msd(source, raw_root=root / "raw", split="6/2", show_progress=False)
    return root / "raw"


def random_kills(finished: WholeCampaign, *, seed: int, number: int) -> list[Kill]:
    """Return kills in order, each at a random moment of its own part of a campaign's duration."""
    chance = random.Random(seed)
    attempts = {step.name: finished.attempts(step.name)[-1] for step in finished.steps}
    order = sorted(attempts, key=lambda name: attempts[name].started)
    lasts = [attempts[name].seconds or 0.0 for name in order]
    victims = [VICTIMS[place % len(VICTIMS)] for place in range(number)]
    chance.shuffle(victims)
    kills = []
    for part, what in enumerate(victims):
        moment, place = (part + chance.random()) / number * sum(lasts), 0
        while moment >= lasts[place] and place < len(lasts) - 1:
            moment -= lasts[place]
            place += 1
        kills.append(Kill(step=order[place], seconds=moment, what=what))
    return kills


def wait_for_moment(
    campaign: WholeCampaign, kills: list[Kill], run: subprocess.Popen
) -> tuple[Kill, subprocess.Popen]:
    """Return the first kill whose moment has come, and the run under way: another one if it has ended.

    A step that was killed alone is not begun again in the same run, but those that do not need it are.
    """
    give_up_at = time.monotonic() + PATIENCE_S
    while True:
        for kill in kills:
            if campaign.has_come(kill):
                return kill, run
        assert time.monotonic() < give_up_at, (kills, campaign.log)
        if run.poll() is not None:
            run = campaign.start()
        time.sleep(LOOK_S)


def _is_zip(path: Path) -> bool:
    return zipfile.is_zipfile(path)


def _are_equal(one: Path, other: Path) -> bool:
    with suppress(OSError):
        return os.path.getsize(one) == os.path.getsize(other) and one.read_bytes() == other.read_bytes()
    return False
