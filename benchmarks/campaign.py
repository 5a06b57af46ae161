"""Prints what a campaign adds to its trainings, and its wall time against the sum of its steps.

python benchmarks/campaign.py WORK [--rounds 3] [--seconds 60]    files are kept in WORK
python benchmarks/campaign.py WORK --smoke                        a minute, with numbers of no meaning

What starting, watching and recording a step costs is measured with steps that only wait and print a line each
second; the training's own part with a fold of a tiny stock trainer, by nnUNetv2_train, by the campaign's
command for it, and as a step. Then 2 trainers x 3 folds are trained by one run, and by two at once.
"""

import os
import resource
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import ClassVar

import psutil
from report import command_line, machine, print_table

from nnunet_pancext.campaign.definition import Campaign, present_versions, write_campaign
from nnunet_pancext.campaign.planning.plan import Request, plan_campaign
from nnunet_pancext.campaign.record import STATE, read_record
from nnunet_pancext.campaign.step import Progress, Step
from nnunet_pancext.dataset_conversion.layouts.msd import convert_msd
from nnunet_pancext.phantom import write_phantom_dataset

DATASET = "Dataset007_Pancreas"
HOUR_S = 3600
CHAIN = 4  # steps of a run, to see what one more adds
STOCK, OURS = "nnUNetTrainerTinyStock", "nnUNetTrainerBaseline_4epochs_2iterations"
STOCK_SOURCE = f"""
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class {STOCK}(nnUNetTrainer):
    def __init__(self, plans, configuration, fold, dataset_json, device=torch.device("cuda")):
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs, self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = 4, 2, 1
"""
QUIET = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "nnUNet_n_proc_DA": "1",
    "nnUNet_def_n_proc": "1",
}
WAIT = """\
import sys, time
for second in range(int(sys.argv[1])):
    time.sleep(1)
    print("second", second, flush=True)
open(sys.argv[2], "w").close()
"""
EXECUTE = (sys.executable, "-m", "nnunet_pancext.campaign.attempt.execute")
SCRIPTS = Path(sysconfig.get_path("scripts"))
RUN = (
    sys.executable,
    "-c",
    "import sys; from nnunet_pancext.cli.main import main; sys.exit(main())",
    "campaign",
)
FOLDERS = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")


@dataclass(frozen=True, kw_only=True)
class Waiting(Step):
    """Waits, with a line of output each second, in the place of a training."""

    kind: ClassVar[str] = "waiting"
    uses_gpu: ClassVar[bool] = True

    seconds: int = 0

    @property
    def title(self) -> str:
        return f"wait {self.seconds} s"

    def result(self, folder: Path) -> Path:
        return folder / f"{self.name}.out"

    def is_done(self, folder: Path) -> bool:
        return self.result(folder).is_file()

    def command(self, folder: Path) -> list[str]:
        return [sys.executable, "-c", WAIT, str(self.seconds), str(self.result(folder))]

    def progress(self) -> Progress | None:
        return lambda line: line


@dataclass(frozen=True)
class Cost:
    """Seconds on the clock, and of processor time with all processes that were started."""

    clock: float
    processor: float

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(self.clock - other.clock, self.processor - other.processor)

    def __mul__(self, factor: float) -> "Cost":
        return Cost(self.clock * factor, self.processor * factor)

    def __str__(self) -> str:
        return f"{self.processor:.2f} ({self.clock:.2f})"


def middle(costs: Sequence[Cost]) -> Cost:
    """Return the medians."""
    return Cost(median(one.clock for one in costs), median(one.processor for one in costs))


def measure(*commands: Sequence[object]) -> Cost:
    """Run commands at the same time; exit if one fails."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with tempfile.TemporaryFile() as output:
        running = [
            subprocess.Popen([*map(str, words)], stdout=output, stderr=subprocess.STDOUT)
            for words in commands
        ]
        codes = [process.wait() for process in running]
        output.seek(0)
        if any(codes):
            text = output.read().decode("utf-8", errors="replace")
            sys.exit(f"{commands} ended with {codes}:\n{text[-3000:]}")
    clock, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(clock, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def install_waiting(work: Path) -> None:
    """Make the kind of `Waiting` known to this process and those that it starts."""
    information = work / "packages" / "waiting_steps-1.0.dist-info"
    information.mkdir(parents=True, exist_ok=True)
    (information / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: waiting-steps\nVersion: 1.0\n", encoding="utf-8"
    )
    (information / "entry_points.txt").write_text(
        f"[nnunet_pancext.campaign_kinds]\nwaiting = {Path(__file__).stem}:Waiting\n", encoding="utf-8"
    )
    here = Path(__file__).resolve().parent
    paths = (information.parent, here, here.parent, *os.environ.get("PYTHONPATH", "").split(os.pathsep))
    os.environ["PYTHONPATH"] = os.pathsep.join(map(str, paths))


def waiting_campaign(folder: Path, *, steps: int, seconds: int) -> Path:
    """Write a campaign of steps that wait one after the other, and return its folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    names = [f"wait-{number}" for number in range(steps)]
    chain = [Waiting(name=name, seconds=seconds, needs=tuple(names[:i][-1:])) for i, name in enumerate(names)]
    campaign = Campaign(
        device="cpu",
        seed=None,
        folders={name: str(folder / name) for name in FOLDERS},
        versions={},
        steps=tuple(chain),
    )
    write_campaign(folder, campaign)
    return folder


def measure_starting(work: Path) -> dict[str, Cost]:
    """Return what a step and a run of several add to their commands."""
    folder = work / "waiting"

    def run(steps: int) -> Cost:
        return measure((*RUN, "run", waiting_campaign(folder, steps=steps, seconds=0)))

    nothing, one = measure((sys.executable, "-c", WAIT, 0, work / "alone.out")), run(1)
    of_step = measure((*EXECUTE, waiting_campaign(folder, steps=1, seconds=0), "wait-0"))
    return {
        "a step": of_step - nothing,
        "a step more in a run": (run(CHAIN) - one) * (1 / (CHAIN - 1)) - nothing,
        "a run, beside its steps": one - of_step,
    }


def measure_watching(work: Path, *, seconds: int) -> dict[str, float]:
    """Return the processor time that a step and its run take in an hour, without the step's command.

    It is measured over `seconds`, after as many, since a run looks at a new step more often.
    """
    folder = waiting_campaign(work / "waiting", steps=1, seconds=3 * seconds)
    with subprocess.Popen([*RUN, "run", str(folder)], stdout=subprocess.DEVNULL) as run:
        while not watching_processes(run.pid):
            if run.poll() is not None:
                sys.exit(f"The run ended with exit code {run.returncode} before its step began")
            time.sleep(0.1)
        time.sleep(seconds)
        before, started = processor_times(run.pid), time.perf_counter()
        time.sleep(seconds)
        after, hours = processor_times(run.pid), HOUR_S / (time.perf_counter() - started)
        run.terminate()
    return {name: (after[name] - before[name]) * hours for name in after}


def watching_processes(run: int) -> list[psutil.Process]:
    """Return the process of the step of a run, once it is there."""
    children = psutil.Process(run).children()
    return [process for process in children if EXECUTE[-1] in process.cmdline()]


def processor_times(run: int) -> dict[str, float]:
    """Return the processor time so far of a run and of the process that watches its step."""
    (watching,) = watching_processes(run)
    processes = {"an hour of a step": watching, "an hour of its run": psutil.Process(run)}
    return {name: sum(process.cpu_times()[:2]) for name, process in processes.items()}


def make_dataset(work: Path) -> dict[str, str]:
    """Write phantoms and a stock trainer once; return the environment of trainings."""
    environment = {name: str(work / name) for name in FOLDERS}
    for folder in environment.values():
        Path(folder).mkdir(parents=True, exist_ok=True)
    if not (work / "nnUNet_raw" / DATASET).is_dir():
        shutil.rmtree(work / "source", ignore_errors=True)
        source = write_phantom_dataset(
            work / "source", cases=6, size=(16, 32, 32), seed=15, show_progress=False
        )
        convert_msd(source, raw_root=work / "nnUNet_raw", split="nnunet", show_progress=False)
    (work / "trainers").mkdir(exist_ok=True)
    (work / "trainers" / "tiny_stock.py").write_text(STOCK_SOURCE, encoding="utf-8")
    return {**environment, "nnUNet_extTrainer": str(work / "trainers"), **QUIET}


def plan_trainings(folder: Path, environment: Mapping[str, str]) -> Campaign:
    """Write the campaign of 2 trainers x 3 folds and their comparison."""
    request = Request(
        datasets=(DATASET,),
        trainers=(STOCK, OURS),
        configurations=("2d",),
        folds=("0", "1", "2"),
        device="cpu",
    )
    folders = {name: environment[name] for name in FOLDERS}
    campaign = plan_campaign(request, folders=folders, versions=present_versions())
    own = {name: value for name, value in environment.items() if name not in FOLDERS}
    folder.mkdir(parents=True, exist_ok=True)
    campaign = replace(campaign, environment=own)
    write_campaign(folder, campaign)
    return campaign


def measure_fold(folder: Path, campaign: Campaign) -> dict[str, Cost]:
    """Return the costs of a fold in three ways; the dataset must be preprocessed."""
    (step,) = (step for step in campaign.steps if step.name == f"train-007-{STOCK}-nnUNetPlans-2d-0")
    words = (DATASET, "2d", "0", "-tr", STOCK, "-device", "cpu", "--npz")
    ways: dict[str, Sequence[object]] = {
        "nnUNetv2_train": (SCRIPTS / "nnUNetv2_train", *words),
        "the step's command": step.command(folder),
        "the step": (*EXECUTE, folder, step.name),
    }
    costs = {}
    for way, command in ways.items():
        shutil.rmtree(step.result(folder), ignore_errors=True)
        costs[way] = measure(command)
    return costs


def measure_campaign(folder: Path, *, runs: int) -> tuple[Cost, float]:
    """Return the cost of a campaign by several runs at once, and the sum of its steps' seconds."""
    begun = time.time()
    cost = measure(*[(*RUN, "run", folder)] * runs)
    names = [path.stem for path in (folder / STATE).glob("*.json")]
    attempts = [attempt for name in names for attempt in read_record(folder, name).attempts]
    return cost, sum(attempt.seconds or 0.0 for attempt in attempts if attempt.started >= begun)


def main() -> None:
    """Measure all three, and print a table of each."""
    parser = command_line(__doc__)
    parser.add_argument("work", type=Path, metavar="WORK")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=60, help="over which a step is watched (default 60)")
    parser.add_argument("--smoke", action="store_true", help="one round of short steps that only wait")
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    rounds, seconds = (1, 5) if options.smoke else (options.rounds, options.seconds)
    print(machine("torch", "nnunetv2"))
    os.environ.update(QUIET)
    install_waiting(work)
    heading = ["", "processor time (clock), s"]
    found = [measure_starting(work) for _ in range(rounds)]
    rows = [[name, str(middle([one[name] for one in found]))] for name in found[0]]
    watched = [measure_watching(work, seconds=seconds) for _ in range(rounds)]
    rows += [[name, f"{median(one[name] for one in watched):.1f}"] for name in watched[0]]
    print_table("What a campaign adds to commands that wait", rows, heading)
    if options.smoke:
        return
    environment = make_dataset(work)
    os.environ.update(environment)
    rows = []
    for runs in (1, 2):
        folder = work / f"{runs} at once"
        shutil.rmtree(work / "nnUNet_results")
        (work / "nnUNet_results").mkdir()
        shutil.rmtree(folder, ignore_errors=True)
        campaign = plan_trainings(folder, environment)
        if runs == 1:
            measure((*EXECUTE, folder, campaign.steps[0].name))  # preprocessing, which both share
        cost, parts = measure_campaign(folder, runs=runs)
        rows.append(
            [
                str(runs),
                f"{parts:.0f}",
                f"{cost.clock:.0f}",
                f"{cost.clock / parts:.2f}",
                f"{cost.processor:.0f}",
            ]
        )
    folds = [measure_fold(folder, campaign) for _ in range(rounds)]
    fold_rows = [[way, str(middle([one[way] for one in folds]))] for way in folds[0]]
    print_table("A fold of 4 epochs of 2 iterations, with its validation", fold_rows, heading)
    heading = ["runs at once", "sum of the steps, s", "wall, s", "wall / sum", "processor time, s"]
    print_table("2 trainers x 3 folds and their comparison", rows, heading)


if __name__ == "__main__":
    main()
