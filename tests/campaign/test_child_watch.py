"""A process whose worker is killed ends, and does not wait for what will never come."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from tempfile import TemporaryFile

import pytest

SCRIPT = """
import multiprocessing, os, signal, time

from nnunet_pancext.campaign.workers.child_watch import ended_with_children


def die(number):
    time.sleep(2)
    os.kill(os.getpid(), number)


with ended_with_children():
    with multiprocessing.get_context("fork").Pool(1) as pool:
        results = pool.map(abs, range(3))
    pool = multiprocessing.get_context("fork").Pool(1)
    print(results, flush=True)
    {work}
"""


def run(work: str) -> subprocess.CompletedProcess[str]:
    """Run the script with this work; processes that it leaves are killed then."""
    command = [sys.executable, "-c", SCRIPT.format(work=work)]
    with TemporaryFile("w+") as out, TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=out, stderr=errors, start_new_session=True)
        code = process.wait(120)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        out.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(command, code, out.read(), errors.read())


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV"])
def test_it_ends_as_the_killed_process(name: str):
    number = int(getattr(signal, name))
    done = run(f"pool.apply(die, (signal.{name},))")
    assert done.returncode == 128 + number
    assert done.stdout == "[0, 1, 2]\n"
    assert f"a worker of this one, was ended by signal {number}\n" in done.stderr


def test_a_process_that_is_killed_as_soon_as_it_has_started_is_seen_too():
    done = run("os.kill(pool._pool[0].pid, signal.SIGKILL); time.sleep(5); print('end')")
    assert (done.returncode, done.stdout) == (137, "[0, 1, 2]\n")


def test_a_pool_may_end_its_processes():
    done = run("time.sleep(1); pool.terminate(); time.sleep(1); print('end')")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "[0, 1, 2]\nend\n"
