"""A real Slurm of two nodes on this machine: Debian's slurm-wlm and munge, on free ports of the loopback interface."""

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

import pytest
from contracts.orthanc import free_ports

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun")
NODES = ("n1", "n2")
WITHIN_S = 120  # generous: a machine may be busy
# `cred_expire` is also how long a requeued job waits, 120 s else. `config_overrides`: nodes may have more CPUs
# than the machine. A node is down after `SlurmdTimeout`.
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
SlurmdTimeout=10
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
        wait_for((self.folder / "munge.socket").exists, "munged", log=self.folder / "munge.log")
        self.start_controller()
        for node in NODES:
            self.start_node(node)

    def start_controller(self) -> None:
        """Start slurmctld and wait until it answers."""
        self._start("slurmctld", "slurmctld", "-D", "-f", str(self.configuration))
        wait_for(
            lambda: self.slurm("scontrol", "ping", check=False).find("is UP") >= 0,
            "slurmctld",
            log=self.folder / "slurmctld.log",
        )

    def start_node(self, node: str) -> None:
        """Start a node's slurmd and wait until jobs can run there."""
        self._start(node, "slurmd", "-D", "-N", node, "-f", str(self.configuration))
        wait_for(
            lambda: self.node_state(node) in ("idle", "mixed", "allocated"),
            node,
            log=self.folder / f"slurmd_{node}.log",
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
        """Return a node's state, e.g. 'idle' or 'down'."""
        return self.slurm("sinfo", "-h", "-N", "-n", node, "-o", "%T", "-p", "main", check=False).strip()

    def job_state(self, job: str) -> str:
        """Return a job's state, e.g. 'RUNNING', 'COMPLETED', 'CANCELLED'."""
        return self.slurm("squeue", "-h", "-t", "all", "-j", job, "-o", "%T", check=False).strip()

    def end(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """End slurmctld or the slurmd of a node, not what runs there."""
        process = self.processes.pop(name)
        process.send_signal(number)
        process.wait(timeout=60)

    def job_processes(self, node: str) -> list[int]:
        """Return the processes of jobs on a node, and Slurm's own that watch them."""
        return [pid for pid, variables in environments(self.configuration) if is_on(node, pid, variables)]

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
            lambda: all(self.node_state(node) == "idle" for node in NODES),
            "idle nodes",
            log=self.folder / "slurmctld.log",
            within_s=30,
        )

    def stop(self) -> None:
        """End everything that was started, by process ids."""
        for pid, _ in environments(self.configuration):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in reversed(self.processes.values()):
            process.kill()
            process.wait()


def environments(configuration: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the processes of jobs of this cluster, and slurmstepd, with their environments."""
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and (variables := (entry / "environ").read_bytes()):
                of_job = b"SLURM_JOB_ID=" in variables or (entry / "comm").read_text() == "slurmstepd\n"
                if of_job and os.fsencode(f"SLURM_CONF={configuration}") in variables:
                    yield int(entry.name), variables


def is_on(node: str, pid: int, variables: bytes) -> bool:
    """Whether a process of a job runs on a node."""
    return f"SLURMD_NODENAME={node}".encode() in variables


def wait_for(condition: Callable[[], bool], what: str, *, log: Path | None = None, within_s: float = WITHIN_S) -> None:
    """Return when the condition holds."""
    last = time.monotonic() + within_s
    while not condition():
        text = log.read_text(encoding="utf-8", errors="replace")[-3000:] if log and log.is_file() else ""
        assert time.monotonic() < last, f"Waited {within_s:.0f} s for {what}. {text}"
        time.sleep(0.1)


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
