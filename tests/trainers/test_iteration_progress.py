import pytest

from nnunet_pancext.errors import NNUNetCommandError
from nnunet_pancext.io.progress_interval import interval_from_environment
from nnunet_pancext.trainers.machinery.iteration_progress import IterationProgress


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def progress_of(clock, **changes):
    options = {"num_epochs": 3, "num_iterations": 6, "num_val_iterations": 3, "interval_s": 10, **changes}
    return IterationProgress(clock=clock, **options)


def test_the_first_epoch_is_estimated_from_its_iterations(clock):
    """4 s an iteration: 6 of training and a third of 3 in validation make 28 s an epoch."""
    progress = progress_of(clock)
    progress.start_epoch(0)
    lines = []
    for _ in range(3):
        clock.now += 4
        lines.append(progress.advance())
    assert lines == [
        None,
        None,
        "Epoch 1/3, iteration 3/6: 16.0 s to go in this epoch, 1 min 12 s in all",
    ]


def test_later_epochs_are_as_long_as_those_before(clock):
    progress = progress_of(clock)
    progress.start_epoch(0)
    clock.now += 40
    progress.start_epoch(1)
    clock.now += 10
    assert progress.advance() == "Epoch 2/3, iteration 1/6: 30.0 s to go in this epoch, 1 min 10 s in all"


def test_an_epoch_longer_than_those_before_is_estimated_from_its_iterations(clock):
    """2 iterations in 60 s; 4 more and a third of 3 in validation take 150 s."""
    progress = progress_of(clock)
    progress.start_epoch(0)
    clock.now += 40
    progress.start_epoch(1)
    progress.advance()
    clock.now += 60
    line = progress.advance()
    assert line == "Epoch 2/3, iteration 2/6: 2 min 30 s to go in this epoch, 3 min 10 s in all"


def test_a_line_comes_once_an_interval_across_epochs(clock):
    progress = progress_of(clock, num_epochs=60, interval_s=60)
    lines = []
    for epoch in range(60):
        progress.start_epoch(epoch)
        for _ in range(6):
            clock.now += 1
            lines.append(progress.advance())
    assert sum(line is not None for line in lines) == 6
    assert lines.index(next(filter(None, lines))) == 59


def test_a_continued_training_counts_from_its_own_start(clock):
    progress = progress_of(clock, num_epochs=10)
    progress.start_epoch(8)
    clock.now += 12
    assert (
        progress.advance() == "Epoch 9/10, iteration 1/6: 1 min 12 s to go in this epoch, 2 min 36 s in all"
    )


def test_the_interval_is_a_minute_by_default(monkeypatch):
    monkeypatch.delenv("PANCEXT_PROGRESS_SECONDS", raising=False)
    assert interval_from_environment() == 60
    monkeypatch.setenv("PANCEXT_PROGRESS_SECONDS", "0.5")
    assert interval_from_environment() == 0.5


@pytest.mark.parametrize("text", ["often", "0", "-1", "nan"])
def test_an_impossible_interval_is_refused(monkeypatch, text):
    monkeypatch.setenv("PANCEXT_PROGRESS_SECONDS", text)
    with pytest.raises(
        NNUNetCommandError, match=f"PANCEXT_PROGRESS_SECONDS is '{text}'; set it to a number of"
    ):
        interval_from_environment()
