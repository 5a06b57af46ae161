"""Signals that end a training, and child processes that end with it."""

import signal
import sys
import threading
import time
import zipfile
from contextlib import suppress

import psutil
import pytest
from contracts.host_commands import forked
from contracts.made_preprocessed import make_preprocessed
from contracts.started_training import STOCK, Training

from nnunet_pancext.trainers.machinery.process_end import SIGNALS, ended_by_signals

PATIENCE_S = 120
OURS = "nnUNetTrainerNonLocal_1000epochs_2iterations"
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not offer it")


def handlers():
    return [signal.getsignal(number) for number in SIGNALS]


def test_handlers_are_there_only_during_a_training():
    before = handlers()
    with ended_by_signals(lambda: None):
        assert not set(handlers()).intersection(before)
    assert handlers() == before


def test_handlers_of_others_are_kept():
    def own(number, frame):
        pass

    before = signal.signal(signal.SIGTERM, own)
    try:
        with ended_by_signals(lambda: None):
            assert signal.getsignal(signal.SIGTERM) is own
        assert signal.getsignal(signal.SIGTERM) is own
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_training_in_another_thread_sets_no_handlers():
    before, found = handlers(), []

    def train():
        with ended_by_signals(lambda: None):
            found.append(handlers())

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert found == [before]


def _wait_for_a_signal(file):
    def finish():
        file.write_text("finished", encoding="utf-8")
        raise RuntimeError("a failed write must not keep the process alive")

    with ended_by_signals(finish):
        file.with_suffix(".ready").touch()
        time.sleep(PATIENCE_S)


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_what_is_pending_is_finished_first(tmp_path, number):
    file = tmp_path / "pending.txt"
    process = forked(_wait_for_a_signal, file)
    wait_for(file.with_suffix(".ready").exists)
    psutil.Process(process.pid).send_signal(number)
    process.join(PATIENCE_S)
    assert process.exitcode == 128 + number
    assert file.read_text(encoding="utf-8") == "finished"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("ended")
    make_preprocessed(root)
    for name in ("nnUNet_raw", "nnUNet_results"):
        (root / name).mkdir(exist_ok=True)
    return root


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def runs(process):
    """Whether a process has not ended; one without a parent may wait long to be removed."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def start(root, name, trainer):
    """Start a training of 1000 epochs, and return it with its process and children after the first epoch."""
    training = Training(root=root, results=name, trainer=trainer, epochs=1000, seed="", workers=2)
    process = training.start()
    pattern = f"{name}/*/*/fold_0/checkpoint_latest.pth"
    wait_for(lambda: not process.is_alive() or any(root.glob(pattern)))
    assert process.is_alive(), training.output
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2
    return training, process, children


@pytest.mark.slow
@linux_only
@pytest.mark.parametrize(
    ("trainer", "number"),
    [(OURS, signal.SIGTERM), (STOCK, SIGNALS[-1]), (OURS, signal.SIGKILL), (STOCK, signal.SIGKILL)],
)
def test_no_process_is_left_when_a_training_is_ended(root, trainer, number):
    training, process, children = start(root, f"{trainer}_{number}", trainer)
    psutil.Process(process.pid).send_signal(number)
    process.join(PATIENCE_S)
    try:
        wait_for(lambda: not any(map(runs, children)))
    finally:
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
    folder = training.fold_folder
    assert all(zipfile.is_zipfile(path) for path in folder.glob("checkpoint_*.pth"))
    if number == signal.SIGKILL:
        assert process.exitcode == -signal.SIGKILL
        return
    assert process.exitcode == 128 + number
    line = f"Training ended by {signal.Signals(number).name}. It can be continued with --c."
    assert training.output.splitlines().count(line) == 1
    assert "Traceback" not in training.output
    assert not list(folder.glob(".partial*"))


@pytest.mark.slow
@linux_only
def test_a_data_worker_ends_by_sigterm_as_it_does_without_the_package(root):
    training, process, children = start(root, "worker", STOCK)
    children[0].send_signal(signal.SIGTERM)
    try:
        wait_for(lambda: not runs(children[0]))
        assert "Training ended by" not in training.output
    finally:
        process.kill()
        process.join()
