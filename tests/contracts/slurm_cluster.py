"""A real Slurm of two nodes: Debian's slurm-wlm and munge, on free ports of the loopback interface."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from contracts.orthanc import free_ports

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun")
NODES = ("n1", "n2")
WITHIN_S = 60  # generous: a machine may be busy
# A requeued job waits for `cred_expire`, which is 120 s else. `config_overrides`: nodes may have more CPUs
# than the machine. A node that does not answer is down after `SlurmdTimeout`.
CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=4
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SlurmUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool_%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd_%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd_%n.log
SlurmctldPort={controller}
SlurmdTimeout=30
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=1,batch_sched_delay=0
ReturnToService=2
MpiDefault=none
JobRequeue=1
KillWait=10
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={n1} CPUs=2 RealMemory=4000 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={n2} CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=n1,n2 Default=YES PriorityTier=1 DefaultTime=60 MaxTime=4:00:00 State=UP
PartitionName=graceful Nodes=n1,n2 PriorityTier=1 GraceTime=300 MaxTime=INFINITE State=UP
PartitionName=urgent Nodes=n1,n2 PriorityTier=10 PreemptMode=OFF MaxTime=INFINITE State=UP
"""


class SlurmCluster:
    """A controller and two nodes, which can be ended and started; `folder` is the cluster's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        host = socket.gethostname().split(".")[0]
        controller, *ports = free_ports(1 + len(NODES))
        text = CONFIGURATION.format(
            folder=folder, host=host, controller=controller, **dict(zip(NODES, ports, strict=True))
        )
        self.configuration.write_text(text, encoding="utf-8")
        for name in ("state", *(f"spool_{node}" for node in NODES)):
            (folder / name).mkdir()
        key = folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)

    @property
    def configuration(self) -> Path:
        """Return slurm.conf, which SLURM_CONF names."""
        return self.folder / "slurm.conf"

    def start(self) -> None:
        """Start everything and wait until both nodes are idle."""
        names = ("key-file", "socket", "pid-file", "log-file", "seed-file")
        files = [f"--{name}={self.folder}/munge.{name.split('-')[0]}" for name in names]
        self._start("munged", "munged", "--foreground", "--force", *files)
        wait_for((self.folder / "munge.socket").exists, "munged", details=tail(self.folder / "munge.log"))
        self.start_controller()
        for node in NODES:
            self.start_node(node)

    def start_controller(self) -> None:
        """Start slurmctld and wait until it answers."""
        self._start("slurmctld", "slurmctld", "-D", "-f", str(self.configuration))
        wait_for(
            lambda: self.slurm("scontrol", "ping", check=False).find("is UP") >= 0,
            "slurmctld",
            details=tail(self.folder / "slurmctld.log"),
        )

    def start_node(self, node: str) -> None:
        """Start a node's slurmd and wait until jobs can run there."""
        self._start(node, "slurmd", "-D", "-N", node, "-f", str(self.configuration))
        self.slurm("scontrol", "update", f"NodeName={node}", "State=RESUME", check=False)
        wait_for(
            lambda: self.node_state(node) in ("IDLE", "MIXED", "ALLOCATED"),
            node,
            details=tail(self.folder / f"slurmd_{node}.log"),
        )

    def _start(self, name: str, *command: str) -> None:
        program = found(command[0])
        assert program is not None
        with (self.folder / f"{name}.out").open("ab") as out:
            self.processes[name] = subprocess.Popen(
                [program, *command[1:]], stdout=out, stderr=out, env=self.variables, cwd=self.folder
            )

    @property
    def variables(self) -> dict[str, str]:
        """Return the environment of Slurm's programs."""
        return {**os.environ, "SLURM_CONF": str(self.configuration)}

    def slurm(self, *command: str, check: bool = True) -> str:
        """Return what a command of Slurm prints."""
        done = subprocess.run(
            command, env=self.variables, capture_output=True, text=True, timeout=60, check=False
        )
        assert not check or done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def node_state(self, node: str) -> str:
        """Return a node's state, e.g. 'IDLE' or 'DOWN*'; sinfo may show an old one."""
        words = self.slurm("scontrol", "--oneliner", "show", "node", node, check=False).split()
        return next((word.removeprefix("State=") for word in words if word.startswith("State=")), "")

    def job_state(self, job: str) -> str:
        """Return a job's state, e.g. 'RUNNING', 'COMPLETED', 'CANCELLED'."""
        return self.slurm("squeue", "-h", "-t", "all", "-j", job, "-o", "%T", check=False).strip()

    def end(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """End slurmctld or the slurmd of a node, not what runs there."""
        process = self.processes.pop(name)
        process.send_signal(number)
        process.wait(timeout=60)

    def set_down(self, node: str) -> None:
        """Let the controller take a node for dead at once, as it does by itself after a while."""
        self.slurm("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")

    def end_jobs(self, node: str) -> None:
        """Kill all that runs on a node; slurmstepd first, which would report the end of the rest."""
        jobs = [p for p in self.processes_of_jobs() if variable(p, "SLURMD_NODENAME") == node]
        watchers = {parent for p in jobs if (parent := p.parent()) and parent.name() == "slurmstepd"}
        for process in (*watchers, *jobs):
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def processes_of_jobs(self) -> list[psutil.Process]:
        """Return the processes of all jobs, and slurmstepd, which watches them."""
        found = []
        for process in psutil.process_iter():
            of_job = process.name() == "slurmstepd" or variable(process, "SLURM_JOB_ID")
            if of_job and variable(process, "SLURM_CONF") == str(self.configuration):
                found.append(process)
        return found

    def clear(self) -> None:
        """Cancel all jobs, bring both nodes and the controller back, and wait until they are idle."""
        if "slurmctld" not in self.processes:
            self.start_controller()
        self.slurm("scancel", "--user=root", check=False)
        for node in NODES:
            if node not in self.processes:
                self.start_node(node)
        wait_for(lambda: not self.slurm("squeue", "-h").strip(), "the queue to become empty")
        wait_for(
            lambda: all(self.node_state(node) == "IDLE" for node in NODES),
            "idle nodes",
            details=lambda: str([self.node_state(node) for node in NODES]),
        )

    def stop(self) -> None:
        """End everything that was started, by process ids."""
        for process in self.processes_of_jobs():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for daemon in reversed(self.processes.values()):
            daemon.kill()
            daemon.wait()


def variable(process: psutil.Process, name: str) -> str | None:
    """Return an environment variable of a process; None without it, or if the process has ended."""
    try:
        return process.environ().get(name)
    except (psutil.Error, OSError):
        return None


def wait_for(
    condition: Callable[[], bool], what: str, *, details: Callable[[], str] = str, within_s: float = WITHIN_S
) -> None:
    """Return when the condition holds; `details` of a failure are asked for then."""
    last = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < last, f"Waited {within_s:.0f} s for {what}.\n{details()}"
        time.sleep(0.1)


def tail(log: Path) -> Callable[[], str]:
    """Return what reads the end of a log, which need not exist."""
    return lambda: log.read_text(encoding="utf-8", errors="replace")[-3000:] if log.is_file() else ""


def found(program: str) -> str | None:
    """Return the path of a program; daemons are often not on PATH."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")


@pytest.fixture(scope="session")
def running_cluster() -> Iterator[SlurmCluster]:
    """One cluster for all tests of a process."""
    missing = [program for program in PROGRAMS if found(program) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed: apt-get install slurm-wlm munge")
    if os.geteuid() != 0:
        pytest.skip("Slurm's daemons must be started as root")
    # A socket's path has 107 characters at most, which pytest's folders may exceed.
    with tempfile.TemporaryDirectory(prefix="slurm") as folder:
        Path(folder).chmod(0o755)
        cluster = SlurmCluster(Path(folder))
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


@pytest.fixture
def slurm_cluster(running_cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlurmCluster]:
    """A cluster without jobs, which Slurm's commands find."""
    monkeypatch.setenv("SLURM_CONF", str(running_cluster.configuration))
    running_cluster.clear()
    yield running_cluster
    running_cluster.clear()
