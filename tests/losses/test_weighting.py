import pytest

from nnunet_pancext.losses import DiceOnlyWeights, DynamicWeights, OrdinaryWeights, PhaseWeights

# Eq. 12-13 by hand. With k = 20 / E and x0 = E / 2, -k (x - x0) is 10, 5, 0 and -5 at epochs 0, E/4, E/2 and
# 3E/4, whatever E is. s = 1 / (1 + e^...): 1/(1 + 22026.4658) = 4.5397869e-5, 1/(1 + 148.4131591) =
# 0.0066928509, 1/2, 0.9933071491. Dice is 0.3 + 0.7 (1 - s), CE is 1 - 0.3 (1 - s).
QUARTERS = [
    (0.0, 0.9999682215, 0.7000136194),
    (0.25, 0.9953150044, 0.7020078553),
    (0.5, 0.65, 0.85),
    (0.75, 0.3046849956, 0.9979921447),
]
# The last epoch x = E - 1: -k (x - x0) is -10 + 20/E, that is -9.6428571 (E = 56), -9.95 (400), -9.98 (1000);
# 1 - s is 6.4884e-5, 4.77247e-5 and 4.63148e-5.
LAST = [(56, 6.4884e-5), (400, 4.77247e-5), (1000, 4.63148e-5)]


@pytest.mark.parametrize("num_epochs", [56, 400, 1000])
@pytest.mark.parametrize(("share", "dice", "ce"), QUARTERS)
def test_dynamic_weights(num_epochs, share, dice, ce):
    found = DynamicWeights(num_epochs=num_epochs)(int(share * num_epochs))
    assert found == pytest.approx((dice, ce), abs=1e-9)


@pytest.mark.parametrize(("num_epochs", "rest"), LAST)
def test_dynamic_weights_in_the_last_epoch(num_epochs, rest):
    found = DynamicWeights(num_epochs=num_epochs)(num_epochs - 1)
    assert found == pytest.approx((0.3 + 0.7 * rest, 1 - 0.3 * rest), abs=1e-8)


@pytest.mark.parametrize("num_epochs", [56, 400, 1000])
def test_phase_weights(num_epochs):
    weights = PhaseWeights(num_epochs=num_epochs)
    half = num_epochs // 2
    assert [weights(epoch) for epoch in (0, half // 2, half - 1)] == [(0.6, 0.4)] * 3
    assert [weights(epoch) for epoch in (half, 3 * half // 2, num_epochs - 1)] == [(0.7, 0.3)] * 3


def test_of_an_odd_number_of_epochs_the_middle_one_is_in_the_first_half():
    weights = PhaseWeights(num_epochs=3)
    assert [weights(epoch) for epoch in range(3)] == [(0.6, 0.4), (0.6, 0.4), (0.7, 0.3)]


@pytest.mark.parametrize(
    ("weighting", "expected"), [(OrdinaryWeights, (1.0, 1.0)), (DiceOnlyWeights, (1.0, 0.0))]
)
def test_constant_weights(weighting, expected):
    assert {weighting(num_epochs=10)(epoch) for epoch in range(10)} == {expected}


@pytest.mark.parametrize("weighting", [OrdinaryWeights, DiceOnlyWeights, PhaseWeights, DynamicWeights])
def test_bad_numbers_are_refused(weighting):
    with pytest.raises(ValueError, match="num_epochs is 0"):
        weighting(num_epochs=0)
    with pytest.raises(ValueError, match="epoch is -1"):
        weighting(num_epochs=5)(-1)
