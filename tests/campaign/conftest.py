"""Campaigns of scripts, in this process and in those that it starts, and one of made steps."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from contracts.made_campaign import PREPROCESS, attempt, made_campaign, record_attempts
from contracts.script_step import install_kinds

from nnunet_pancext.campaign.definition import Campaign
from nnunet_pancext.campaign.step import kinds

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def own_process() -> Iterator[None]:
    """Undo what reading a campaign sets, and what a step does to signals: tests after it fork processes."""
    before = dict(os.environ)
    handlers = {
        number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)
    }
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def script_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH that makes the kinds of `contracts.script_step` known."""
    return install_kinds(tmp_path_factory.mktemp("site") / "packages")


@pytest.fixture
def script_kinds(script_site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make these kinds known."""
    paths = [str(script_site), str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    monkeypatch.syspath_prepend(script_site)
    kinds.cache_clear()
    yield
    monkeypatch.undo()
    kinds.cache_clear()


@pytest.fixture
def folder(script_kinds: None, tmp_path: Path) -> Path:
    """Where a test makes its campaign."""
    return tmp_path / "campaign"


@pytest.fixture
def campaign(tmp_path: Path) -> Campaign:
    """Preprocess, two trainings, best and compare, of which preprocess is done."""
    made = made_campaign(tmp_path)
    record_attempts(tmp_path, made.steps[PREPROCESS], attempt("done", hours=0.5))
    return made
