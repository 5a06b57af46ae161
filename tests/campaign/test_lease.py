"""Leases among processes, hosts and crashes."""

import errno
import json
import multiprocessing
import os
import re
import signal
import socket
import time
from pathlib import Path

import pytest

from nnunet_pancext.campaign.lease import Held, Lease, current_owner
from nnunet_pancext.errors import PancextError

PATIENCE_S = 60
FORK = multiprocessing.get_context("fork")


def edit(path: Path, **changes: object) -> None:
    """Change entries of a lease, keeping its last heartbeat."""
    before = path.stat()
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **changes}), encoding="utf-8")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def age(path: Path, seconds: float) -> None:
    """Let the last heartbeat be so long ago."""
    then = time.time() - seconds
    os.utime(path, (then, then))


def left_lease(path: Path, **changes: object) -> None:
    """Write a lease as another process would have left it."""
    lease = Lease(path)
    with lease:
        content = path.read_bytes()
    path.write_bytes(content)
    edit(path, token="another", **changes)


def test_a_lease_is_held_until_it_is_released(tmp_path):
    path = tmp_path / "state" / "train.lease"
    assert current_owner(path) is None
    with Lease(path, job="812", restarts=1) as lease:
        assert lease.still_owned()
        owner = current_owner(path)
        assert owner is not None
        assert (owner.pid, owner.job, owner.restarts) == (os.getpid(), "812", 1)
        with pytest.raises(Held, match=rf"held by process {os.getpid()} on .*, Slurm job 812 since .*remove"):
            Lease(path).acquire()
    assert not lease.still_owned()
    assert current_owner(path) is None
    assert not os.listdir(path.parent)
    with Lease(path):
        pass


def test_a_waiting_process_gets_the_lease_when_it_is_released(tmp_path):
    path = tmp_path / "a.lease"
    first, second = Lease(path), Lease(path)
    first.acquire()
    with pytest.raises(Held):
        second.acquire(wait_s=0.1)
    first.release()
    second.acquire(wait_s=PATIENCE_S)
    assert second.still_owned()
    second.release()


def _race(path, start, results, rounds):
    for number in range(rounds):
        lease = Lease(Path(f"{path}{number}"))
        start.wait(PATIENCE_S)
        try:
            lease.acquire()
            won = lease.still_owned()
        except Held:
            won = False
        results.put((number, won))
        start.wait(PATIENCE_S)  # nobody releases before all have tried
        lease.release()


@pytest.mark.parametrize("is_left", [False, True], ids=["free", "left by a process that has ended"])
def test_of_racing_processes_exactly_one_wins(tmp_path, is_left):
    rounds, racers = 40, 3
    if is_left:
        for number in range(rounds):
            left_lease(tmp_path / f"lease{number}", pid=_pid_that_has_ended())
    start, results = FORK.Barrier(racers), FORK.Queue()
    arguments = (tmp_path / "lease", start, results, rounds)
    processes = [FORK.Process(target=_race, args=arguments) for _ in range(racers)]
    for process in processes:
        process.start()
    winners = [
        number for number, won in (results.get(timeout=PATIENCE_S) for _ in range(rounds * racers)) if won
    ]
    for process in processes:
        process.join(PATIENCE_S)
    assert sorted(winners) == list(range(rounds))
    assert not os.listdir(tmp_path)


def _pid_that_has_ended() -> int:
    process = FORK.Process(target=int)
    process.start()
    process.join()
    assert process.pid is not None
    return process.pid


def _hold(path, taken):
    Lease(path).acquire()
    taken.set()
    time.sleep(PATIENCE_S * 10)


@pytest.mark.parametrize("is_reaped", [True, False])
def test_the_lease_of_a_killed_process_is_free_at_once(tmp_path, is_reaped):
    path, taken = tmp_path / "a.lease", FORK.Event()
    process = FORK.Process(target=_hold, args=(path, taken), daemon=True)
    process.start()
    assert taken.wait(PATIENCE_S)
    with pytest.raises(Held, match=f"process {process.pid} "):
        Lease(path).acquire()
    os.kill(process.pid, signal.SIGKILL)
    if is_reaped:
        process.join()
    lease = Lease(path)
    lease.acquire(wait_s=0 if is_reaped else PATIENCE_S)  # a signal takes a moment
    lease.release()
    process.join()


@pytest.mark.parametrize("place", [{"host": "elsewhere"}, {"pids": 1}], ids=["host", "container"])
@pytest.mark.parametrize("seconds", [130, -3600], ids=["old", "from before the clock was corrected"])
def test_a_lease_on_another_host_or_in_another_container_is_held_while_its_heart_beats(
    tmp_path, place, seconds
):
    path = tmp_path / "a.lease"
    # here this number is that of no process, since none can be so high
    left_lease(path, pid=2**30, job="7", **place)
    age(path, 30)
    host = place.get("host", socket.gethostname())
    with pytest.raises(Held, match=f"process {2**30} on {re.escape(host)}, Slurm job 7"):
        Lease(path).acquire()
    age(path, seconds)
    assert current_owner(path) is None
    with Lease(path) as lease:
        assert lease.still_owned()


def test_the_heart_beats(tmp_path):
    path = tmp_path / "a.lease"
    with Lease(path, beats_s=0.02):
        age(path, 100)
        deadline = time.monotonic() + PATIENCE_S
        while time.time() - path.stat().st_mtime > 50:
            assert time.monotonic() < deadline, "no heartbeat"
            time.sleep(0.02)


def test_a_number_that_another_process_has_now_is_no_owner(tmp_path):
    path = tmp_path / "a.lease"
    left_lease(path, process_started=1000.0)
    with Lease(path) as lease:
        assert lease.still_owned()


@pytest.mark.parametrize("content", [b"", b'{"host": "a', b"[]", b"null", b'{"token": 1}', b'{"pid": "x"}'])
def test_an_unreadable_lease_is_held_until_it_is_old(tmp_path, content):
    path = tmp_path / "a.lease"
    path.write_bytes(content)
    with pytest.raises(Held, match="held by an unknown process"):
        Lease(path).acquire()
    age(path, 130)
    with Lease(path) as lease:
        assert lease.still_owned()


def test_an_owner_knows_that_its_lease_was_taken_over(tmp_path):
    path = tmp_path / "a.lease"
    first = Lease(path)
    first.acquire()
    edit(path, host="elsewhere")  # as it looks to a process on another machine
    age(path, 130)
    second = Lease(path)
    second.acquire()
    assert not first.still_owned()
    first.release()
    assert second.still_owned()
    second.release()


def test_a_process_that_died_while_taking_over_does_not_block_others(tmp_path):
    path = tmp_path / "a.lease"
    left_lease(path, process_started=1000.0)
    claim = tmp_path / "a.lease.after-another"
    left_lease(claim, process_started=2000.0)
    with Lease(path) as lease:
        assert lease.still_owned()
    assert not os.listdir(tmp_path)


def test_while_a_living_process_takes_over_others_wait(tmp_path):
    path = tmp_path / "a.lease"
    left_lease(path, process_started=1000.0)
    left_lease(tmp_path / "a.lease.after-another")
    with pytest.raises(Held, match=f"process {os.getpid()}"):
        Lease(path).acquire()


@pytest.mark.parametrize("is_left", [False, True])
def test_a_disk_without_hard_links(tmp_path, monkeypatch, is_left):
    def no_links(source, target):
        raise OSError(errno.EPERM, "Operation not permitted")

    path = tmp_path / "a.lease"
    if is_left:
        left_lease(path, process_started=1000.0)
    monkeypatch.setattr(os, "link", no_links)
    with Lease(path) as lease:
        assert lease.still_owned()
        with pytest.raises(Held):
            Lease(path).acquire()
    assert not os.listdir(tmp_path)


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(PancextError, match=r"Cannot write .*a\.lease: .*permissions of its folder"):
        Lease(tmp_path / "file" / "a.lease").acquire()

    def read_only(self, *arguments, **options):
        raise OSError(errno.EROFS, "Read-only file system")

    path = tmp_path / "a.lease"
    left_lease(path, host="elsewhere")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", read_only)
        patch.setattr(Path, "touch", read_only)
        with pytest.raises(PancextError, match="Read-only file system"):
            Lease(path).acquire()
        assert current_owner(path) is not None  # status can still be asked


def test_a_full_disk_leaves_no_file(tmp_path, monkeypatch):
    def full(self, *arguments, **options):
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(PancextError, match=r"Cannot write .*a\.lease: No space left on device"):
        Lease(tmp_path / "a.lease").acquire()
    assert not os.listdir(tmp_path)
