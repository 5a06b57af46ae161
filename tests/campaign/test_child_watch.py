"""A process whose worker is killed ends, and does not wait for what will never come."""

import signal
import subprocess
import sys

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
    script = SCRIPT.format(work=work)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV"])
def test_it_ends_as_the_killed_process(name: str):
    number = int(getattr(signal, name))
    done = run(f"pool.apply(die, (signal.{name},))")
    assert done.returncode == 128 + number
    assert done.stdout == "[0, 1, 2]\n"
    assert f"a worker of this one, was ended by signal {number}\n" in done.stderr


def test_a_pool_may_end_its_processes():
    done = run("time.sleep(1); pool.terminate(); time.sleep(1); print('end')")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "[0, 1, 2]\nend\n"
