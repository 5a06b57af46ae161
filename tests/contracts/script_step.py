"""Steps of a campaign that cost nothing: a few lines of Python that write a file, and campaigns of them.

Their kinds are those of another package, as a user's would be: `install_kinds` makes it.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from nnunet_pancext.campaign.definition import Campaign, write_campaign
from nnunet_pancext.campaign.step import Progress, Step

MAIN = "import sys; from nnunet_pancext.cli.main import main; sys.exit(main())"
KINDS = {"script": "ScriptStep", "gpu_script": "GpuScriptStep"}
# Run before each script; `finish` is how it leaves a whole output, and `count` says that it did.
PRELUDE = """\
import os, signal, sys, time
from pathlib import Path
folder, name, output = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
def note(text):
    with (folder / "notes.txt").open("a") as notes:
        notes.write(f"{name} {text}\\n")
def finish(text):
    partial = output.with_name(f".{output.name}")
    partial.write_text(text)
    note("finished")
    os.replace(partial, output)
def wait_for(file):
    for _ in range(6000):
        if (folder / file).exists():
            return
        time.sleep(0.02)
    sys.exit(9)
note("started")
"""
GENTLE = "signal.signal(signal.SIGTERM, lambda *_: (note('saved'), sys.exit(143))); note('ready');"


@dataclass(frozen=True, kw_only=True)
class ScriptStep(Step):
    """Runs `code`; it is done when `NAME.out` is there."""

    kind: ClassVar[str] = "script"

    code: str = "finish('x')"
    writes: str = ""
    words: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return f"script {self.name}"

    def result(self, folder: Path) -> Path:
        return folder / f"{self.name}.out"

    def written_folder(self, folder: Path) -> Path | None:
        return folder / self.writes if self.writes else None

    def is_done(self, folder: Path) -> bool:
        return self.result(folder).is_file()

    def command(self, folder: Path) -> list[str]:
        output = self.result(folder)
        return [sys.executable, "-ISu", "-c", PRELUDE + self.code, str(folder), self.name, str(output)]

    def progress(self) -> Progress | None:
        return lambda line: line.removeprefix("progress ") if line.startswith("progress ") else None

    def remarks(self, folder: Path) -> list[str]:
        return list(self.words)


@dataclass(frozen=True, kw_only=True)
class GpuScriptStep(ScriptStep):
    """The same on a GPU."""

    kind: ClassVar[str] = "gpu_script"
    uses_gpu: ClassVar[bool] = True


def install_kinds(site: Path) -> Path:
    """Make these kinds known to every Python with this folder and that of `contracts` on PYTHONPATH."""
    information = site / "script_steps-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: script-steps\nVersion: 1.0\n", encoding="utf-8"
    )
    points = "".join(f"{name} = {__name__}:{of}\n" for name, of in KINDS.items())
    (information / "entry_points.txt").write_text(
        f"[nnunet_pancext.campaign_kinds]\n{points}", encoding="utf-8"
    )
    return site


def make_campaign(folder: Path, steps: Sequence[Step], **changes: Any) -> Campaign:
    """Write a campaign of these steps, with nnU-Net's folders below it, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    names: Mapping[str, str] = {
        name: str(folder / name) for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
    }
    values: dict[str, Any] = {"device": "cpu", "seed": None, "folders": names, "versions": {}}
    campaign = Campaign(steps=tuple(steps), **{**values, **changes})
    write_campaign(folder, campaign)
    return campaign


def notes(folder: Path) -> list[str]:
    """Return what the scripts have noted so far: `NAME started`, `NAME finished`."""
    path = folder / "notes.txt"
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition, for as long as the slowest machine may need."""
    give_up_at = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


def start_run(folder: Path) -> subprocess.Popen[str]:
    """Start `pancext campaign run` in a process of its own."""
    command = [sys.executable, "-c", MAIN, "campaign", "run", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
