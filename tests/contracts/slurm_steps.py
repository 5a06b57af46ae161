"""Steps of a campaign that cost nothing, in a module that Slurm's jobs find as an installed package.

A step goes on until it may end: a file `FOLDER/go/NAME`, or `FOLDER/go/all`. What each of its runs does, it
appends to `FOLDER/trace/NAME`. It goes on from the tick that it has reached.
"""

import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from nnunet_pancext.campaign.definition import Campaign, write_campaign
from nnunet_pancext.campaign.step import Step
from nnunet_pancext.nnunet_files.folders import DUTIES

TICK_S = 0.1
ENTRY_POINTS = (
    "[nnunet_pancext.campaign_kinds]\nslurm-train = slurm_steps:Train\nslurm-sum = slurm_steps:Sum\n"
)


@dataclass(frozen=True, kw_only=True)
class Sum(Step):
    """Adds up what its needs have made, and 1.

    Unless it `waits`, it may end at once. If it `is_broken`, it fails until there is `FOLDER/mended`.
    """

    kind: ClassVar[str] = "slurm-sum"

    waits: bool = False
    is_broken: bool = False

    @property
    def title(self) -> str:
        return self.name

    def result(self, folder: Path) -> Path:
        return folder / "results" / self.name

    def is_done(self, folder: Path) -> bool:
        return self.result(folder).is_file()

    def command(self, folder: Path) -> list[str]:
        words = [self.name, str(int(self.waits)), str(int(self.is_broken)), *self.needs]
        return [sys.executable, __file__, str(folder), *words]


@dataclass(frozen=True, kw_only=True)
class Train(Sum):
    """The same with a GPU."""

    kind: ClassVar[str] = "slurm-train"
    uses_gpu: ClassVar[bool] = True

    waits: bool = True


def install(folder: Path) -> None:
    """Make the kinds known to every Python that has the folder on PYTHONPATH."""
    metadata = folder / "slurm_steps-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: slurm_steps\nVersion: 1.0\n", encoding="utf-8"
    )
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS, encoding="utf-8")
    (folder / "slurm_steps.py").write_bytes(Path(__file__).read_bytes())


def made_campaign(folder: Path, steps: Sequence[Step], **environment: str) -> Path:
    """Write a campaign on a CPU and return its folder."""
    folder.mkdir(parents=True)
    folders = {name: str(folder / name) for name in DUTIES}
    write_campaign(
        folder,
        Campaign(
            device="cpu", seed=None, folders=folders, versions={}, steps=tuple(steps), environment=environment
        ),
    )
    return folder


def let_end(folder: Path, name: str = "all") -> None:
    """Allow a step, or all, to end."""
    (folder / "go").mkdir(exist_ok=True)
    (folder / "go" / name).touch()


def trace(folder: Path, name: str) -> list[list[str]]:
    """Return what the runs of a step did, each as its process and a word."""
    path = folder / "trace" / name
    return [line.split() for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def words(folder: Path, name: str) -> list[str]:
    """Return what the runs of a step did, without ticks."""
    return [word for _, word in trace(folder, name) if not word.isdigit()]


def ticks(folder: Path, name: str) -> list[int]:
    """Return the ticks of a step, of all runs."""
    return [int(word) for _, word in trace(folder, name) if word.isdigit()]


def runs(folder: Path, name: str) -> list[str]:
    """Return the processes of a step, one entry for each time that one began to write after another."""
    processes = [process for process, _ in trace(folder, name)]
    return [process for i, process in enumerate(processes) if i == 0 or processes[i - 1] != process]


def main(folder: Path, name: str, waits: str, broken: str, *needs: str) -> int:
    """Be the command of a step."""
    reached = ticks(folder, name)
    (folder / "trace").mkdir(exist_ok=True)
    with (folder / "trace" / name).open("a", encoding="utf-8", buffering=1) as out:

        def say(word: object) -> None:
            out.write(f"{os.getpid()} {word}\n")

        def stop(number: int, frame: object) -> None:
            say("stopped")
            sys.exit(128 + number)

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGUSR2, stop)
        say("continued" if reached else "started")
        if broken == "1" and not (folder / "mended").exists():
            print("there is no such trainer")
            say("failed")
            return 1
        tick = reached[-1] if reached else 0
        while waits == "1" and not any((folder / "go" / each).exists() for each in (name, "all")):
            tick += 1
            say(tick)
            time.sleep(TICK_S)
        (folder / "results").mkdir(exist_ok=True)
        total = 1 + sum(int((folder / "results" / need).read_text(encoding="utf-8")) for need in needs)
        (folder / "results" / name).write_text(str(total), encoding="utf-8")
        say("done")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
