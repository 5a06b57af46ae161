"""How far a training is, by its log."""

from pathlib import Path

import pytest
from contracts.made_campaign import write_training_log

from nnunet_pancext.campaign.measured import measured_training, planned_epochs


def test_a_training_tells_its_epochs_its_dice_and_the_time_to_go(tmp_path: Path) -> None:
    write_training_log(tmp_path, epochs=4, planned=10, seconds=30.0, dice=0.5)

    measured = measured_training(tmp_path)

    assert measured is not None
    # Dice of 0.05, 0.3431, 0.4453 and 0.4809; the average takes a tenth of each new one.
    assert measured.pseudo_dice == pytest.approx([0.05, 0.0793, 0.1159, 0.1524], abs=1e-4)
    assert measured.text == "epoch 4 of 10, pseudo Dice 0.152"
    assert (measured.seconds_left, measured.seconds_in_all) == (180.0, 300.0)


def test_the_time_to_go_is_that_of_the_last_epochs(tmp_path: Path) -> None:
    write_training_log(tmp_path, epochs=50, planned=100, seconds=10.0)
    log = next(tmp_path.glob("training_log*"))
    lines = log.read_text(encoding="utf-8").split("Epoch 30\n")
    log.write_text(lines[0] + "Epoch 30\n" + lines[1].replace("10.0 s", "20.0 s"), encoding="utf-8")

    measured = measured_training(tmp_path)

    assert measured is not None
    assert measured.seconds_left == 50 * 20.0
    assert measured.seconds_in_all == 100 * 10.0


def test_without_the_number_of_epochs_the_time_is_unknown(tmp_path: Path) -> None:
    write_training_log(tmp_path, epochs=4, planned=None)

    measured = measured_training(tmp_path)

    assert measured is not None
    assert measured.text.startswith("epoch 4, pseudo Dice")
    assert (measured.seconds_left, measured.seconds_in_all) == (None, None)


def test_before_the_first_epoch_nothing_is_measured(tmp_path: Path) -> None:
    assert measured_training(tmp_path / "missing") is None
    (tmp_path / "training_log_1.txt").write_text("using torch.compile\n", encoding="utf-8")
    assert measured_training(tmp_path) is None


def test_a_log_that_grew_is_read_again(tmp_path: Path) -> None:
    for epochs in (2, 3):
        write_training_log(tmp_path, epochs=epochs, planned=10)
        measured = measured_training(tmp_path)
        assert measured is not None
        assert measured.text.startswith(f"epoch {epochs} of 10")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"num_epochs": "many"}', '{"num_epochs": null}'])
def test_an_unreadable_number_of_epochs_is_unknown(tmp_path: Path, content: str) -> None:
    (tmp_path / "debug.json").write_text(content, encoding="utf-8")

    assert planned_epochs(tmp_path) is None
