"""Durations as text."""

import pytest

from nnunet_pancext.io.durations import duration_text, rough_duration


@pytest.mark.parametrize(
    ("seconds", "exact", "rough"),
    [
        (0.04, "0.0 s", "1 s"),
        (4.23, "4.2 s", "4 s"),
        (59.4, "59.4 s", "59 s"),
        (59.6, "59.6 s", "1 min"),
        (185, "3 min 05 s", "3 min"),
        (7620, "2 h 07 min", "2 h 07 min"),
    ],
)
def test_durations_and_estimates(seconds, exact, rough):
    assert duration_text(seconds) == exact
    assert rough_duration(seconds) == rough
