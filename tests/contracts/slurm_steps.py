"""Scripts for campaigns on Slurm that go on until they may end, and trace what each of their runs does.

A step may end once there is `FOLDER/go/NAME` or `FOLDER/go/all`. A later run goes on from the last tick.
"""

from collections.abc import Sequence
from pathlib import Path

from contracts.script_step import GpuScriptStep, ScriptStep

# After the prelude of `script_step`. One line for each event: the process, and a tick's number or a word.
CODE = """\
trace = folder / "trace" / name
trace.parent.mkdir(exist_ok=True)
reached = [int(word) for word in trace.read_text().split()[1::2] if word.isdigit()] if trace.exists() else []
def say(word):
    with trace.open("a") as out:
        out.write(f"{os.getpid()} {word}\\n")
def stop(number, frame):
    say("stopped")
    sys.exit(128 + number)
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGUSR2, stop)
say("continued" if reached else "started")
if broken and not (folder / "mended").exists():
    print("there is no such trainer")
    sys.exit(1)
tick = max(reached, default=0)
while waits and not any((folder / "go" / each).exists() for each in (name, "all")):
    tick += 1
    say(tick)
    time.sleep(0.1)
say("done")
print(f"run by {sys.executable} in {os.environ.get('COLOUR')} colour")
finish(str(1 + sum(int((folder / f"{need}.out").read_text()) for need in needs)))
"""


def code(needs: Sequence[str], *, waits: bool, broken: bool) -> str:
    """Return a script that adds up what its needs have made, and 1; `broken` fails until `FOLDER/mended`."""
    return f"needs, waits, broken = {tuple(needs)!r}, {waits}, {broken}\n{CODE}"


def quick(name: str, *needs: str, broken: bool = False) -> ScriptStep:
    """Return a step without GPU that may end at once."""
    return ScriptStep(name=name, needs=needs, code=code(needs, waits=False, broken=broken))


def training(name: str, *needs: str) -> GpuScriptStep:
    """Return a step with a GPU that must be let go."""
    return GpuScriptStep(name=name, needs=needs, code=code(needs, waits=True, broken=False))


def let_end(folder: Path, name: str = "all") -> None:
    """Allow a step, or all, to end."""
    (folder / "go").mkdir(exist_ok=True)
    (folder / "go" / name).touch()


def trace(folder: Path, name: str) -> list[list[str]]:
    """Return what the runs of a step did, each as its process and a word."""
    path = folder / "trace" / name
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [line.split() for line in lines if len(line.split()) == 2]


def words(folder: Path, name: str) -> list[str]:
    """Return what the runs of a step did, without ticks."""
    return [word for _, word in trace(folder, name) if not word.isdigit()]


def ticks(folder: Path, name: str) -> list[int]:
    """Return the ticks of a step, of all runs."""
    return [int(word) for _, word in trace(folder, name) if word.isdigit()]


def began(folder: Path, name: str) -> int:
    """Return how many runs of a step have begun."""
    return sum(word in ("started", "continued") for word in words(folder, name))


def at_work(folder: Path, name: str, *, run: int = 1) -> bool:
    """Whether a run of a step, the first or a later one, ticks."""
    lines = [word for _, word in trace(folder, name)]
    return began(folder, name) == run and lines[-1].isdigit()


def assert_ticked_without_repeats(folder: Path, name: str) -> None:
    """No tick was lost or done twice, and no run wrote while another did."""
    assert ticks(folder, name) == list(range(1, len(ticks(folder, name)) + 1))
    processes = [process for process, _ in trace(folder, name)]
    turns = [process for i, process in enumerate(processes) if i == 0 or processes[i - 1] != process]
    assert len(turns) == began(folder, name)
