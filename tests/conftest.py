"""Fixtures that several test folders share."""

import multiprocessing.dummy
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

pytest.register_assert_rewrite("contracts")
from contracts.chromium import Browser  # noqa: E402

# The tests' networks are tiny: threads would only wait for each other, for long on a busy machine. Who asks
# for threads gets them: the numbers hold with any.
if "OMP_NUM_THREADS" not in os.environ:
    torch.set_num_threads(1)

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real CTs, masks and published lists that lie beside the project and are not part of it."""
    folder = Path(os.environ.get("PANCEXT_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set PANCEXT_SHARED_DATA to the folder that holds them")
    return folder


@pytest.fixture(scope="module")
def coarse_figures() -> Iterator[None]:
    """Draw figures with few pixels, for tests that are not about them: those are in tests/figures."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("comparison.output.side_by_side", "dataset_check.slice_overlay", "figures.layout"):
            patch.setattr(f"nnunet_pancext.{module}.PIXELS_PER_INCH", 40)
        yield


@pytest.fixture
def nnunet_in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nnU-Net check raw datasets with threads in place of processes, which would import it anew."""
    from nnunetv2.experiment_planning import verify_dataset_integrity
    from nnunetv2.utilities import utils

    threads = SimpleNamespace(get_context=lambda _: multiprocessing.dummy)
    monkeypatch.setattr(verify_dataset_integrity, "multiprocessing", threads)
    monkeypatch.setattr(utils, "Pool", multiprocessing.dummy.Pool)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One Chromium for all tests that open pages."""
    running = Browser(tmp_path_factory.mktemp("chromium"))
    yield running
    running.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the files that take longest, so that no process is left with one of them at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
