"""Checkpoints at the end of each epoch, in the process that trains."""

import errno
import io
import os
import time
import zipfile
from pathlib import Path

import pytest
import torch
from contracts.made_preprocessed import made_trainer, make_preprocessed, use_folders
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunet_pancext.errors import PancextError
from nnunet_pancext.trainers import SegResNetNLTrainer
from nnunet_pancext.trainers.machinery import checkpoint_writer
from nnunet_pancext.trainers.machinery.checkpoint_writer import CheckpointWriter
from nnunet_pancext.trainers.machinery.continuable import ContinuableTrainer, make_continuable


class SmallTrainer(SegResNetNLTrainer):
    network_options = {"init_filters": 8}
    num_epochs = 4
    num_iterations_per_epoch = 1
    num_val_iterations_per_epoch = 1


class SmallStockTrainer(nnUNetTrainer):
    def __init__(self, plans, configuration, fold, dataset_json, device=torch.device("cuda")):  # noqa: B008
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs, self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = 4, 1, 1


@pytest.fixture
def make(tmp_path, monkeypatch):
    use_folders(monkeypatch, tmp_path)
    make_preprocessed(tmp_path)

    def build(kind=SmallTrainer):
        trainer = made_trainer(kind)
        if not isinstance(trainer, ContinuableTrainer):
            make_continuable(trainer)
        return trainer

    return build


@pytest.fixture
def submitted(monkeypatch):
    """Return name and content of each checkpoint, in order."""
    files = []
    submit = CheckpointWriter.submit

    def record(self, target, content):
        files.append((target.name.split("_")[1], torch.load(io.BytesIO(content), weights_only=False)))
        submit(self, target, content)

    monkeypatch.setattr(CheckpointWriter, "submit", record)
    return files


def give_dice(monkeypatch, trainer, dice):
    """Let the epochs have these values of the moving average."""
    end = trainer.on_validation_epoch_end

    def on_validation_epoch_end(outputs):
        end(outputs)
        logged = trainer.logger.local_logger.my_fantastic_logging
        logged["ema_fg_dice"][-1] = dice[trainer.current_epoch]

    monkeypatch.setattr(trainer, "on_validation_epoch_end", on_validation_epoch_end)


@pytest.mark.parametrize("kind", [SmallTrainer, SmallStockTrainer])
def test_each_epoch_has_a_checkpoint_that_knows_the_best(make, submitted, monkeypatch, kind):
    trainer = make(kind)
    give_dice(monkeypatch, trainer, [0.3, 0.2, 0.4, 0.1])
    trainer.run_training()
    found = [(name.removesuffix(".pth"), one["current_epoch"], one["_best_ema"]) for name, one in submitted]
    # nnU-Net saves no checkpoint_latest in the last epoch
    assert found == [
        ("best", 1, 0.3),
        ("latest", 1, 0.3),
        ("latest", 2, 0.3),
        ("best", 3, 0.4),
        ("latest", 3, 0.4),
        ("final", 4, 0.4),
    ]
    folder = Path(trainer.output_folder)
    assert sorted(path.name for path in folder.glob("*checkpoint*")) == [
        "checkpoint_best.pth",
        "checkpoint_final.pth",
    ]
    for name in ("best", "final"):
        with zipfile.ZipFile(folder / f"checkpoint_{name}.pth") as archive:
            assert archive.testzip() is None


@pytest.mark.parametrize("kind", [SmallTrainer, SmallStockTrainer])
@pytest.mark.parametrize(
    ("logged", "saved", "best"),
    [([0.3, 0.2], None, 0.3), ([0.2, 0.3], 0.2, 0.3), ([0.3, 0.2], 0.3, 0.3), ([], None, None)],
)
def test_a_checkpoint_of_nnunet_does_not_make_a_worse_epoch_the_best(
    make, tmp_path, kind, logged, saved, best
):
    trainer = make(kind)
    trainer.initialize()
    trainer.logger.local_logger.my_fantastic_logging["ema_fg_dice"] = logged
    trainer._best_ema = saved
    trainer.save_checkpoint(str(tmp_path / "checkpoint_latest.pth"))
    continued = make(kind)
    continued.load_checkpoint(str(tmp_path / "checkpoint_latest.pth"))
    assert continued._best_ema == best


def test_a_slow_disk_does_not_bring_back_checkpoint_latest(make, monkeypatch):
    whole = checkpoint_writer.write_whole

    def slowly(target, content):
        time.sleep(0.3)
        whole(target, content)

    monkeypatch.setattr(checkpoint_writer, "write_whole", slowly)
    trainer = make()
    trainer.run_training()
    time.sleep(0.5)
    assert not (Path(trainer.output_folder) / "checkpoint_latest.pth").exists()
    final = torch.load(Path(trainer.output_folder) / "checkpoint_final.pth", weights_only=False)
    assert final["current_epoch"] == 4


@pytest.mark.parametrize("kind", [SmallTrainer, SmallStockTrainer])
def test_a_full_disk_ends_the_training_with_a_message_and_keeps_whole_checkpoints(make, monkeypatch, kind):
    calls = []

    def fsync(number):
        calls.append(number)
        if len(calls) > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    trainer = make(kind)
    with pytest.raises(PancextError, match=r"Cannot write .*checkpoint_.*: No space left.*continue .* --c"):
        trainer.run_training()
    checkpoints = list(Path(trainer.output_folder).glob("*checkpoint*"))
    assert checkpoints
    assert all(zipfile.is_zipfile(path) for path in checkpoints)


@pytest.mark.parametrize("call", ["disable_checkpointing", "second GPU"])
def test_nothing_is_written_where_nothing_should_be(make, call):
    trainer = make()
    trainer.num_epochs = 2
    if call == "disable_checkpointing":
        trainer.disable_checkpointing = True
        trainer.run_training()
    else:
        trainer.initialize()
        trainer.local_rank = 1
        trainer.save_checkpoint(str(Path(trainer.output_folder) / "checkpoint_best.pth"))
    assert not list(Path(trainer.output_folder).glob("*.pth"))


def test_a_checkpoint_saved_by_hand_is_there_at_once(make):
    trainer = make()
    trainer.initialize()
    target = Path(trainer.output_folder) / "checkpoint_latest.pth"
    trainer.save_checkpoint(str(target))
    assert torch.load(target, weights_only=False)["trainer_name"] == "SmallTrainer"


def test_what_a_killed_run_left_half_written_is_removed(make):
    trainer = make()
    half = Path(trainer.output_folder) / ".partial-checkpoint_latest.pth"
    half.write_bytes(b"half")
    trainer.num_epochs = 1
    trainer.run_training()
    assert not half.exists()


def test_a_stock_trainer_keeps_its_name_and_its_own_behaviour(make):
    trainer = make(SmallStockTrainer)
    assert Path(trainer.output_folder_base).name == "SmallStockTrainer__nnUNetPlans__2d"
    assert type(trainer).__name__ == "SmallStockTrainer"
    assert isinstance(trainer, SmallStockTrainer)
    assert (trainer.save_every, trainer.seed) == (1, None)


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_seeded_stock_trainer_continues_bit_for_bit(make, monkeypatch, tmp_path, stop):
    monkeypatch.setenv("PANCEXT_SEED", "5")

    def weights(trainer):
        file = Path(trainer.output_folder) / "checkpoint_final.pth"
        return torch.load(file, weights_only=False)["network_weights"]

    whole = make(SmallStockTrainer)
    whole.run_training()
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "second"))
    killed = make(SmallStockTrainer)
    start = killed.on_epoch_start

    def interrupted():
        if killed.current_epoch == stop:
            raise KeyboardInterrupt
        start()

    monkeypatch.setattr(killed, "on_epoch_start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        killed.run_training()
    continued = make(SmallStockTrainer)
    continued.load_checkpoint(str(Path(continued.output_folder) / "checkpoint_latest.pth"))
    continued.run_training()
    found, expected = weights(continued), weights(whole)
    assert not [name for name, value in expected.items() if not torch.equal(found[name], value)]
