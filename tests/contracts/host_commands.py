"""nnU-Net's own commands in folders of their own, each in a new process.

A command's imports take longer than its work on a few small cases. `start`, `run` and `start_worker`
therefore fork a process that has imported nnU-Net already; `run_script` runs the installed script, as a user
does.
"""

import multiprocessing
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import pytest
from contracts.fork_pools import draw_no_curves, fork_pools

SCRIPTS = Path(sysconfig.get_path("scripts"))
IMPORTED = (
    "nnunetv2.experiment_planning.plan_and_preprocess_entrypoints",
    "nnunetv2.run.run_training",
    "nnunetv2.inference.predict_from_raw_data",
    "nnunetv2.training.nnUNetTrainer.primus.primus_trainers",  # by nnU-Net's search for any trainer: timm
    "nnunet_pancext.trainers",
    "pytest",
)
# nnU-Net uses all processors on a CPU despite the first of these: its threads should not spin.
QUIET_THREADS = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
SETTINGS = {
    "nnUNet_def_n_proc": "1",  # each further one takes longer to start than to do its work
    "PANCEXT_SEED": "3",
    **QUIET_THREADS,
}


@dataclass(frozen=True)
class Project:
    """nnU-Net's three folders and a dataset in them."""

    root: Path
    results: Path

    @property
    def raw(self) -> Path:
        return self.root / "raw" / "Dataset007_Pancreas"

    def with_results(self, name: str) -> "Project":
        return replace(self, results=self.root / name)

    def start(self, command: str, *arguments: object) -> ForkServerProcess:
        """Start a command and return its process; its output goes to the file `log`."""
        words = [command, *map(str, arguments)]
        return forked(_call, words, self._folders(), self.log(command))

    def run(self, command: str, *arguments: object) -> str:
        """Run a command, which must succeed, and return its output."""
        process = self.start(command, *arguments)
        process.join(timeout=900)
        code = process.exitcode
        process.kill()  # one that has not ended by then
        return self._output(command, arguments, code)

    def run_script(self, command: str, *arguments: object, exit_code: int = 0) -> str:
        """Run a command's script, which must end with `exit_code`, and return its output."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("nnUNet_")}
        with self.log(command).open("w", encoding="utf-8") as log:
            code = subprocess.run(
                [SCRIPTS / command, *map(str, arguments)],
                env={**kept, **SETTINGS, **self._folders()},
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=900,
            ).returncode
        return self._output(command, arguments, code, exit_code)

    def log(self, command: str) -> Path:
        self.results.mkdir(parents=True, exist_ok=True)
        return self.results / f"{command}.log"

    def model(self, trainer: str, configuration: str) -> Path:
        return self.results / self.raw.name / f"{trainer}__nnUNetPlans__{configuration}"

    def _folders(self) -> dict[str, str]:
        return {
            "nnUNet_raw": str(self.root / "raw"),
            "nnUNet_preprocessed": str(self.root / "preprocessed"),
            "nnUNet_results": str(self.results),
        }

    def _output(
        self, command: str, arguments: tuple[object, ...], code: int | None, expected: int = 0
    ) -> str:
        output = self.log(command).read_text(encoding="utf-8")
        assert code == expected, f"{command} {arguments} ended with {code}:\n{output[-3000:]}"
        return output


def start_worker(command: Sequence[str], log: Path) -> ForkServerProcess:
    """Start the command of a step, which must be a worker, in this environment, and return its process."""
    python, option, module, *arguments = command
    assert (python, option) == (sys.executable, "-m")
    return forked(_work, module, arguments, {**os.environ, **SETTINGS}, log)


def forked(function: Callable[..., object], *arguments: object) -> ForkServerProcess:
    """Start a function of a module in a process that has imported nnU-Net already."""
    process = forking_context().Process(target=function, args=arguments)
    process.start()
    return process


@cache
def forking_context() -> ForkServerContext:
    """Start the process from which commands are forked, without this one's variables for nnU-Net."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*IMPORTED])
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("nnUNet_")]:
            patch.delenv(name)
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        forkserver.ensure_running()
    return context


def _call(words: list[str], folders: dict[str, str], log: Path) -> None:
    begin(folders, log)
    fork_pools()
    sys.argv = words
    (script,) = entry_points(group="console_scripts", name=words[0])
    sys.exit(script.load()())


def _work(module: str, arguments: list[str], environment: dict[str, str], log: Path) -> None:
    begin(environment, log)
    fork_pools()
    sys.exit(import_module(module).main(arguments))


def begin(environment: dict[str, str], log: Path) -> None:
    """Begin a forked process, whose output goes to the log."""
    os.environ.update({**SETTINGS, **environment})
    draw_no_curves()
    with log.open("w", encoding="utf-8") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
