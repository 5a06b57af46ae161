"""Steps of one dataset wait for each other."""

import threading
import time

import pytest

from nnunet_pancext.campaign.lease import Lease
from nnunet_pancext.campaign.workers.waiting_lock import waiting_lock

TIMEOUT_S = 60


def test_a_second_step_waits_and_says_for_whom(tmp_path, capsys):
    entered = threading.Event()

    def second_step():
        with waiting_lock(tmp_path / "x.lease"):
            entered.set()

    first = Lease(tmp_path / "x.lease")
    first.acquire()
    thread = threading.Thread(target=second_step, daemon=True)
    thread.start()
    deadline, text = time.monotonic() + TIMEOUT_S, ""
    while "waiting for process" not in text:
        assert time.monotonic() < deadline
        time.sleep(0.05)
        text += capsys.readouterr().out
    assert f", which is writing {tmp_path}\n" in text
    assert not entered.is_set()
    first.release()
    thread.join(TIMEOUT_S)
    assert entered.is_set()
    assert not list(tmp_path.iterdir())


def test_an_error_releases_it(tmp_path):
    with pytest.raises(ValueError, match="inside"), waiting_lock(tmp_path / "x.lease"):
        raise ValueError("inside")
    with waiting_lock(tmp_path / "x.lease"):
        pass
