import pytest

from nnunet_pancext.architectures.pancreas_tumor_cascade import PHASES
from nnunet_pancext.trainers.pancreas_tumor_cascade import cascade_phase, former_cascade_phase


@pytest.mark.parametrize("epochs", [56, 560, 1000])
def test_phases_take_2_4_and_50_of_56(epochs):
    phases = [cascade_phase(epoch, epochs) for epoch in range(epochs)]
    assert phases == sorted(phases, key="SIJ".index)
    for phase, share in zip("SIJ", (2, 4, 50), strict=True):
        assert abs(phases.count(phase) - epochs * share / 56) < 1


@pytest.mark.parametrize(
    ("epochs", "phases"), [(1, "S"), (2, "SJ"), (3, "SIJ"), (4, "SIJJ"), (9, "SI" + "J" * 7)]
)
def test_short_trainings_have_each_phase_from_three_epochs_on(epochs, phases):
    assert "".join(cascade_phase(epoch, epochs) for epoch in range(epochs)) == phases


def test_from_ten_epochs_on_the_phases_are_the_former_ones():
    for epochs in range(10, 200):
        found = [cascade_phase(epoch, epochs) for epoch in range(epochs)]
        assert found == [former_cascade_phase(epoch, epochs) for epoch in range(epochs)]
        assert set(found) == set(PHASES)


def test_phases_of_the_papers_56_epochs():
    assert "".join(cascade_phase(epoch, 56) for epoch in range(56)) == "SS" + "IIII" + "J" * 50
