from pathlib import Path

import numpy as np
import pytest
import torch
from contracts.made_preprocessed import CASES, made_plans, made_trainer, make_preprocessed, use_folders
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_pancext.errors import NNUNetCommandError, PancextError
from nnunet_pancext.nnunet_files.model_folder import Fold
from nnunet_pancext.nnunet_files.training_log import read_training_record
from nnunet_pancext.trainers import NetworkTrainer, SegResNetNLTrainer, find_trainer
from nnunet_pancext.trainers.machinery.finite_loss import NonFiniteLossError, check_loss


class SmallTrainer(SegResNetNLTrainer):
    network_options = {"init_filters": 8}
    num_epochs = 2
    num_iterations_per_epoch = 2
    num_val_iterations_per_epoch = 1


@pytest.fixture
def make(tmp_path, monkeypatch):
    use_folders(monkeypatch, tmp_path)
    make_preprocessed(tmp_path)

    return lambda kind=SmallTrainer: made_trainer(kind)


def test_class_attributes_replace_nnunets_defaults(make):
    kind = type("Tuned", (SmallTrainer,), {"initial_lr": 0.5, "weight_decay": 0.25})
    trainer = make(kind)
    trainer.initialize()
    assert trainer.optimizer.param_groups[0]["lr"] == 0.5
    assert trainer.optimizer.param_groups[0]["weight_decay"] == 0.25
    assert trainer.oversample_foreground_percent == 0.33  # nnU-Net's default


@pytest.mark.parametrize(("attributes", "save_every"), [({}, 1), ({"save_every": 7}, 7)])
def test_every_epoch_is_saved_unless_the_class_says_otherwise(make, attributes, save_every):
    assert make(type("Saving", (SmallTrainer,), attributes)).save_every == save_every


def test_the_log_has_epochs_and_peak_memory(make):
    trainer = make()
    trainer.run_training()
    folder = Path(trainer.output_folder)
    record = read_training_record(folder)
    assert record is not None
    assert len(record.seconds) == record.epochs == trainer.num_epochs
    assert record.peak_gb is not None
    assert 0.1 < record.peak_gb < 100
    assert Fold(folder=folder, ending=".nii.gz").device == "cpu"


def test_the_console_shows_iterations_and_remaining_time(make, monkeypatch, capsys):
    monkeypatch.setenv("PANCEXT_PROGRESS_SECONDS", "1e-9")
    trainer = make()
    trainer.run_training()
    lines = [line for line in capsys.readouterr().out.splitlines() if "to go in this epoch" in line]
    begins = [line.partition(":")[0] for line in lines]
    assert begins == [f"Epoch {epoch}/2, iteration {number}/2" for epoch in (1, 2) for number in (1, 2)]
    (log,) = Path(trainer.output_folder).glob("training_log_*.txt")
    assert "to go in this epoch" not in log.read_text(encoding="utf-8")


def test_an_impossible_interval_ends_the_command_before_it_trains(make, monkeypatch):
    monkeypatch.setenv("PANCEXT_PROGRESS_SECONDS", "often")
    with pytest.raises(NNUNetCommandError, match="set it to a number of seconds"):
        make()


@pytest.mark.parametrize(("gpu", "kept"), [(False, True), (True, False)])
def test_a_prediction_without_a_gpu_keeps_freed_memory(monkeypatch, gpu, kept):
    asked = []
    monkeypatch.setattr(
        "nnunet_pancext.trainers.machinery.base.keep_freed_memory", lambda: asked.append(True)
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    plans = PlansManager(made_plans())
    for name in ("SegResNetNLTrainer", "nnUNetTrainerNonLocal"):
        asked.clear()
        find_trainer(name).build_network_architecture(plans, plans.get_configuration("2d"), 1, 2, False)
        assert bool(asked) is kept


def test_a_training_on_a_cpu_keeps_freed_memory(make, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "nnunet_pancext.trainers.machinery.base.keep_freed_memory", lambda: asked.append(True)
    )
    make()
    assert asked == [True]


def test_a_loss_that_is_not_a_number_stops_the_training(make, monkeypatch):
    trainer = make()
    trainer.run_training()
    checkpoint = Path(trainer.output_folder) / "checkpoint_best.pth"
    before = checkpoint.read_bytes()

    trainer.current_epoch = 1
    trainer.dataloader_train, _ = trainer.get_dataloaders()
    batch = next(trainer.dataloader_train)
    batch["data"][:] = np.nan
    trainer.on_train_epoch_start()
    with pytest.raises(NonFiniteLossError) as error:
        trainer.train_step(batch)
    message = str(error.value)
    for part in (
        "training loss is nan",
        "epoch 1, iteration 0",
        "learning rate 0.00",
        str(checkpoint),
        "--c",
    ):
        assert part in message
    assert any(case in message for case in CASES)
    assert checkpoint.read_bytes() == before


def test_the_loss_guard_without_a_checkpoint(tmp_path):
    arguments = {"step": "validation", "epoch": 0, "iteration": 3, "cases": ["a", "b"], "learning_rate": 0.01}
    check_loss(1.5, **arguments, output_folder=tmp_path)
    with pytest.raises(PancextError, match=r"validation loss is inf .* cases a, b\. .* no checkpoint yet"):
        check_loss(float("inf"), **arguments, output_folder=tmp_path)


def test_no_checkpoint_where_checkpointing_is_disabled(make):
    trainer = make()
    trainer.initialize()
    trainer.disable_checkpointing = True
    trainer.save_checkpoint(str(Path(trainer.output_folder) / "checkpoint_latest.pth"))
    assert not list(Path(trainer.output_folder).glob("*.pth"))


def test_the_seed_decides_the_weights(make, monkeypatch):
    def weights(seed):
        monkeypatch.setenv("PANCEXT_SEED", seed)
        trainer = make()
        trainer.initialize()
        return trainer.network.stem.weight.detach().clone()

    assert torch.equal(weights("1"), weights("1"))
    assert not torch.equal(weights("1"), weights("2"))


@pytest.mark.parametrize("seed", ["-1", "one", "1.5"])
def test_a_bad_seed_is_refused(make, monkeypatch, seed):
    monkeypatch.setenv("PANCEXT_SEED", seed)
    with pytest.raises(NNUNetCommandError, match=f"PANCEXT_SEED is '{seed}'"):
        make()


def test_configure_epoch_gets_the_epoch_also_after_continuing(make):
    seen = []

    class Recorder(SmallTrainer):
        def configure_epoch(self, epoch, num_epochs):
            seen.append((epoch, num_epochs))

    trainer = make(Recorder)
    trainer.run_training()
    assert seen == [(0, 2), (1, 2)]
    continued = make(Recorder)
    continued.load_checkpoint(str(Path(trainer.output_folder) / "checkpoint_best.pth"))
    start = continued.current_epoch
    seen.clear()
    continued.run_training()
    assert seen == [(epoch, 2) for epoch in range(start, 2)]


@pytest.mark.parametrize(
    "name", ["SegResNetNLTrainer", "nnUNetTrainerNonLocal", "PancreasTumorCascadeTrainer"]
)
def test_loading_a_checkpoint_asks_for_all_weights_once(make, monkeypatch, tmp_path, name):
    """nnU-Net asks once for each weight, which takes long where there are thousands."""
    kind = find_trainer(name)
    if issubclass(kind, NetworkTrainer):
        monkeypatch.setattr(kind, "network_options", {**kind.network_options, **kind.small_options})
    saved, loaded = make(kind), make(kind)
    for trainer in (saved, loaded):
        trainer.initialize()
    file = tmp_path / "checkpoint.pth"
    saved.save_checkpoint(str(file))
    asked = []
    with monkeypatch.context() as patch:
        network_class = type(loaded.network)
        original = network_class.state_dict
        patch.setattr(network_class, "state_dict", lambda self: asked.append(self) or original(self))
        loaded.load_checkpoint(str(file))
    assert asked == [loaded.network]
    expected, found = saved.network.state_dict(), loaded.network.state_dict()
    assert len(found) > 20
    assert all(torch.equal(found[key], value) for key, value in expected.items())


def test_deep_supervision_stays_off_in_a_trainer_without_it(make):
    trainer = make(type("Single", (SmallTrainer,), {"enable_deep_supervision": False}))
    trainer.initialize()
    trainer.set_deep_supervision_enabled(True)  # as nnU-Net does after its validation
    assert not trainer.network.deep_supervision
