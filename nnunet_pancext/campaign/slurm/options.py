"""The resources that a campaign's jobs request from Slurm."""

import math
import re
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from nnunet_pancext.errors import PancextError

CPUS = 12  # nnU-Net's advice for a training
UNLIMITED = 0  # minutes, as for sbatch
# Slurm signals this long before the time limit: the child has 60 s to end, and Slurm is up to 60 s early.
SIGNAL_DELAY_S = 120
# Keys of sbatch that have an option of their own, and those that a campaign sets.
OPTIONS = {key: f"--{key}" for key in ("partition", "account", "time", "qos", "constraint", "gres")}
OPTIONS |= {"cpus-per-task": "--cpus", "mem": "--memory"}
OWN = (
    *("array", "chdir", "dependency", "error", "job-name", "kill-on-invalid-dep", "nodes", "ntasks"),
    *("ntasks-per-node", "open-mode", "output", "requeue", "no-requeue", "signal"),
)
TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<clock>\d+(?::\d+){0,2})")


@dataclass(frozen=True, kw_only=True)
class SlurmOptions:
    """Options of `pancext campaign run --on slurm`; None is "not given", "" unsets what an earlier run gave.

    Steps that use no GPU do not ask for `gres`. `extra` are further pairs of `sbatch`, with "" for a flag.

    Raises:
        PancextError: the time, the number of CPUs, or a further pair cannot be used.
    """

    partition: str | None = None
    account: str | None = None
    time: str | None = None
    memory: str | None = None
    gres: str | None = None
    qos: str | None = None
    cpus: int | None = None
    constraint: str | None = None
    extra: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.time:
            minutes(self.time)
        if self.cpus is not None and self.cpus < 1:
            raise PancextError(f"--cpus is {self.cpus}; it must be at least 1.")
        for pair in self.extra or ():
            key = _key(pair)
            if key in OPTIONS:
                raise PancextError(f"--sbatch {pair}: give it as {OPTIONS[key]}.")
            if key in OWN:
                raise PancextError(f"--sbatch {pair}: a campaign sets {key} itself. Omit it.")
            if not re.fullmatch(r"[a-z0-9-]+", key):
                raise PancextError(f"--sbatch {pair} is not KEY=VALUE, such as --sbatch mail-type=FAIL.")

    def over(self, earlier: "SlurmOptions") -> "SlurmOptions":
        """Return the earlier options with those that are given here."""
        return replace(earlier, **{key: value for key, value in asdict(self).items() if value is not None})

    def parameters(self, *, uses_gpu: bool, time: int, folder: str) -> dict[str, Any]:
        """Return the parameters of submitit for a step; `time` in minutes, `folder` where its job runs."""
        given = {
            "partition": self.partition,
            "account": self.account,
            "mem": self.memory,
            "gres": self.gres if uses_gpu else None,
            "qos": self.qos,
            "constraint": self.constraint,
        }
        cpus = self.cpus or CPUS
        extra = {_key(pair): pair.partition("=")[2] or True for pair in self.extra or ()}
        return {
            **{key: value for key, value in given.items() if value},
            "time": time,
            "cpus_per_task": cpus,
            # From Slurm 22.05 on, srun does not take the number over from sbatch.
            "srun_args": [f"--cpus-per-task={cpus}"],
            "signal_delay_s": signal_delay_s(time),
            "wckey": None,  # submitit's own is refused where keys are checked
            "additional_parameters": {
                **extra,
                "requeue": True,
                "kill-on-invalid-dep": "yes",
                "chdir": folder,
            },
        }

    def as_json(self) -> dict[str, Any]:
        """Return what is given, for a JSON file."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def from_json(content: dict[str, Any]) -> SlurmOptions:
    """Return the options of a JSON file; unknown ones are ignored."""
    known = {field.name: content[field.name] for field in fields(SlurmOptions) if field.name in content}
    if "extra" in known:
        known["extra"] = tuple(known["extra"])
    return SlurmOptions(**known)


def minutes(time: str) -> int:
    """Return a time limit of Slurm in minutes, rounded up; `UNLIMITED` for "UNLIMITED" and "infinite".

    It is MINUTES[:SECONDS], HOURS:MINUTES:SECONDS, or DAYS-HOURS[:MINUTES[:SECONDS]].

    Raises:
        PancextError: it is none of them, or 0.
    """
    if time.lower() in ("unlimited", "infinite"):
        return UNLIMITED
    match = TIME.fullmatch(time)
    if match is None:
        raise PancextError(f"--time {time!r} is not a Slurm time. Write 24:00:00, 2-00:00:00, or minutes.")
    clock = [int(part) for part in match["clock"].split(":")]
    if match["days"] is None and len(clock) < 3:
        clock = [0, *clock]
    hours, mins, secs = [*clock, 0, 0][:3]
    total = math.ceil((((int(match["days"] or 0) * 24 + hours) * 60 + mins) * 60 + secs) / 60)
    if total == 0:
        raise PancextError(f"--time {time!r} leaves a job no time. Write 24:00:00, 2-00:00:00, or minutes.")
    return total


def time_text(limit: int) -> str:
    """Return a limit in minutes as 4:00:00 or 2-00:00:00."""
    if limit == UNLIMITED:
        return "no limit"
    days, rest = divmod(limit, 24 * 60)
    return f"{days}-" * bool(days) + f"{rest // 60:02d}:{rest % 60:02d}:00"


def signal_delay_s(limit: int) -> int:
    """Return how many seconds before a limit, in minutes, Slurm signals: at most a third of it."""
    return SIGNAL_DELAY_S if limit == UNLIMITED else min(SIGNAL_DELAY_S, limit * 60 // 3)


def _key(pair: str) -> str:
    return pair.partition("=")[0].removeprefix("--").replace("_", "-")
