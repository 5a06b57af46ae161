"""How the exit code of a command is read."""

import pytest

from nnunet_pancext.campaign.attempt.failure import is_asked_for, signal_of


@pytest.mark.parametrize(
    ("exit_code", "expected"),
    [(0, 0), (1, 0), (-9, 9), (137, 9), (128, 0), (143, 15), (255, 0), (-255, 0)],
)
def test_only_a_valid_number_is_a_signal(exit_code: int, expected: int):
    assert signal_of(exit_code) == expected


@pytest.mark.parametrize(
    ("exit_code", "expected"), [(-15, True), (143, True), (130, True), (-9, False), (1, False), (255, False)]
)
def test_a_signal_may_ask_for_the_end(exit_code: int, expected: bool):
    assert is_asked_for(exit_code) == expected
