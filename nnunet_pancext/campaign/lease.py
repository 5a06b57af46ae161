"""Leases: at most one living process runs a step, or writes a folder, on any machine that shares the disk."""

import errno
import json
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import PARTIAL_PREFIX

LASTS_S, BEATS_S = 120.0, 10.0
POLL_S = 0.5
NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
SAME_START_S = 2.0  # psutil derives start times from the clock, which may be corrected meanwhile


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The process that holds a lease; times are seconds since the epoch.

    `job` is the Slurm job's id and `restarts` how often it was requeued. `gpu` is the CUDA_VISIBLE_DEVICES of
    what it runs, or "". `pids` is its namespace of process ids, of which each container has its own; 0 where
    the system has none. A lease that cannot be read has an owner without host, pid 0.
    """

    host: str
    pid: int
    process_started: float
    job: str = ""
    restarts: int = 0
    since: float = 0.0
    pids: int = 0
    gpu: str = ""

    @property
    def is_here(self) -> bool:
        """Whether it runs on this host, and in this container where there is one."""
        return self.host == socket.gethostname() and self.pids == _pid_namespace()

    def __str__(self) -> str:
        if not self.pid:
            return "an unknown process"
        job = f", Slurm job {self.job}" if self.job else ""
        since = datetime.fromtimestamp(self.since)
        return f"process {self.pid} on {self.host}{job} since {since:%Y-%m-%d %H:%M}"


UNKNOWN = Owner(host="", pid=0, process_started=0.0)


class Held(PancextError):
    """A living process holds the lease."""

    def __init__(self, path: Path, owner: Owner) -> None:
        super().__init__(
            f"{path} is held by {owner}. Wait until it ends, or end it. If it is no longer running, "
            "for example because its machine crashed, wait two minutes, or remove this file."
        )
        self.owner = owner


@dataclass(frozen=True)
class _Seen:
    """A lease as it was read; `token` names this very one, and `written` is its last heartbeat."""

    owner: Owner
    token: str
    written: float


class Lease:
    """A file that one process at a time owns; a context manager.

    A background thread renews its modification time every `beats_s` seconds. The lease of a process that has
    ended is taken over: on the same host at once, of another host or container after `lasts_s` seconds
    without a heartbeat.

    Args:
        path: the file; its folder is created.
        job, restarts: the Slurm job, for messages.
        gpu: CUDA_VISIBLE_DEVICES of what the owner runs, for other runs.
    """

    def __init__(
        self,
        path: Path,
        *,
        lasts_s: float = LASTS_S,
        beats_s: float = BEATS_S,
        job: str = "",
        restarts: int = 0,
        gpu: str = "",
    ) -> None:
        self.path = path
        self.lasts_s = lasts_s
        self.beats_s = beats_s
        self.job, self.restarts, self.gpu = job, restarts, gpu
        self._token = ""
        self._ended = threading.Event()
        self._heart: threading.Thread | None = None

    def acquire(self, wait_s: float = 0) -> None:
        """Take the lease, and wait up to `wait_s` seconds for a living owner to give it up.

        Raises:
            Held: it has a living owner.
            PancextError: the folder cannot be written.
        """
        give_up_at = time.monotonic() + wait_s
        while (owner := self._try()) is not None:
            if time.monotonic() >= give_up_at:
                raise Held(self.path, owner)
            time.sleep(POLL_S)
        self._ended.clear()
        self._heart = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._heart.start()

    def release(self) -> None:
        """Give the lease up; nothing happens where another process has taken it over."""
        self._ended.set()
        if self._heart is not None:
            self._heart.join()
            self._heart = None
        if self.still_owned():
            with suppress(OSError):  # a disk that is away: that this process has ended is seen without it
                self.path.unlink(missing_ok=True)
        self._token = ""

    def still_owned(self) -> bool:
        """Whether the lease is this one's; False once another process has taken it over."""
        if not self._token:
            return False
        try:
            seen = _read(self.path)
        except OSError:  # the disk may be unavailable for a moment
            return True
        return seen is not None and seen.token == self._token

    def __enter__(self) -> "Lease":
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def _beat(self) -> None:
        while not self._ended.wait(self.beats_s):
            if not self.still_owned():
                return
            with suppress(OSError):
                os.utime(self.path)

    def _try(self) -> Owner | None:
        """Take the lease if it is free or its owner is gone; return the living owner otherwise."""
        token = uuid.uuid4().hex
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            draft = _draft(self.path, {**asdict(self._owner()), "token": token})
            try:
                owner = _take(self.path, draft, lasts_s=self.lasts_s)
            finally:
                draft.unlink(missing_ok=True)
        except OSError as error:
            raise PancextError(
                f"Cannot write {self.path}: {error.strerror or error}. Correct the permissions of its "
                "folder, or free some space."
            ) from error
        if owner is None:
            self._token = token
        return owner

    def _owner(self) -> Owner:
        return Owner(
            host=socket.gethostname(),
            pid=os.getpid(),
            process_started=psutil.Process().create_time(),
            job=self.job,
            restarts=self.restarts,
            since=time.time(),
            pids=_pid_namespace(),
            gpu=self.gpu,
        )


def current_owner(path: Path, *, lasts_s: float = LASTS_S) -> Owner | None:
    """Return the living process that holds a lease; None where it is free or its owner is gone."""
    seen = _read(path)
    return None if seen is None or _is_gone(path, seen, lasts_s=lasts_s) else seen.owner


def _take(path: Path, draft: Path, *, lasts_s: float) -> Owner | None:
    """Let `path` be the draft's lease if it is free or its owner gone; return the living owner otherwise.

    A process that takes over a lease first claims it with a file named after it, so only one of several
    processes replaces it. A claim is a lease itself: if its owner dies before it has replaced the lease, it
    is taken over too.
    """
    while not _link(draft, path):
        seen = _read(path)
        if seen is None:
            continue  # given up just now
        if not _is_gone(path, seen, lasts_s=lasts_s):
            return seen.owner
        claim = path.with_name(f"{path.name}.after-{seen.token[:8]}")
        claimant = _take(claim, draft, lasts_s=lasts_s)
        if claimant is not None:
            return claimant
        try:
            again = _read(path)
            if again and again.token == seen.token and _is_gone(path, again, lasts_s=lasts_s):
                second = draft.with_name(f"{draft.name}-2")
                _link(draft, second)
                os.replace(second, path)
                return None
        finally:
            claim.unlink(missing_ok=True)
    return None


def _draft(path: Path, content: dict[str, Any]) -> Path:
    draft = path.with_name(f"{PARTIAL_PREFIX}{content['token']}-{path.name}")
    try:
        draft.write_text(json.dumps(content) + "\n", encoding="utf-8")
    except OSError:  # a full disk leaves an empty file
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
    return draft


def _link(draft: Path, path: Path) -> bool:
    """Create `path` as a hard link, whole from its first moment; whether there was none."""
    try:
        os.link(draft, path)
    except FileExistsError:
        # NFS may repeat a request whose answer was lost.
        return os.path.exists(path) and os.path.samefile(draft, path)
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        try:
            with path.open("xb") as file:
                file.write(draft.read_bytes())
        except FileExistsError:
            return False
    return True


def _read(path: Path) -> _Seen | None:
    """Return the lease at `path`, or None where there is none."""
    try:
        with path.open("rb") as file:
            content, status = file.read(), os.fstat(file.fileno())
    except FileNotFoundError:
        return None
    try:
        entries = json.loads(content)
        token = str(entries.pop("token"))
        owner = Owner(**entries)
        is_known = owner.pid > 0 and min(float(owner.process_started), float(owner.since)) >= 0
    except (ValueError, TypeError, KeyError, AttributeError):
        is_known = False
    if not is_known:
        owner, token = UNKNOWN, f"{status.st_mtime_ns:x}"[::-1]
    return _Seen(owner, token, status.st_mtime)


def _is_gone(path: Path, seen: _Seen, *, lasts_s: float) -> bool:
    """Whether the owner of a lease has ended."""
    if seen.owner.is_here:
        return not _runs(seen.owner)
    # A heartbeat in the future is from before the clock was corrected.
    return abs(_now_on_disk(path) - seen.written) > lasts_s


def _pid_namespace() -> int:
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:  # not Linux
        return 0


def _runs(owner: Owner) -> bool:
    try:
        process = psutil.Process(owner.pid)
        started, status = process.create_time(), process.status()
    except psutil.NoSuchProcess:
        return False
    return status != psutil.STATUS_ZOMBIE and abs(started - owner.process_started) < SAME_START_S


def _now_on_disk(path: Path) -> float:
    """Return the time by the clock that sets modification times, or by this machine's on a read-only disk."""
    probe = path.with_name(f"{PARTIAL_PREFIX}{uuid.uuid4().hex}-clock")
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return time.time()
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
