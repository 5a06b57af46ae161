import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from contracts.made_preprocessed import made_trainer, make_preprocessed, use_folders
from matplotlib.image import imread, imsave
from nnunetv2.training.logging.nnunet_logger import LocalLogger
from torch import nn

from nnunet_pancext.trainers import SegResNetNLTrainer, find_trainer
from nnunet_pancext.trainers.machinery.loss_weights import CE, DICE, append_weights_panel, set_loss_weights

PHASES = [(0.6, 0.4), (0.6, 0.4), (0.7, 0.3), (0.7, 0.3)]


@pytest.fixture
def make(tmp_path, monkeypatch):
    use_folders(monkeypatch, tmp_path)
    monkeypatch.setattr(SegResNetNLTrainer, "network_options", {"init_filters": 8, "num_non_local_blocks": 0})

    def build(name, *, kind="two foregrounds", **attributes):
        if not (tmp_path / "nnUNet_preprocessed" / "Dataset007_Pancreas").exists():
            make_preprocessed(tmp_path, kind=kind)
        trainer = find_trainer(name)
        trainer = type(trainer.__name__, (trainer,), attributes)
        return made_trainer(trainer, kind)

    return build


@pytest.mark.parametrize("deep_supervision", [True, False], ids=["deep supervision", "single output"])
@pytest.mark.parametrize("kind", ["two foregrounds", "ignore", "regions", "regions and ignore"])
@pytest.mark.parametrize("name", ["SegResNetNLTrainer_PhaseLoss", "nnUNetTrainerPhaseLoss"])
def test_the_loss_is_the_weighted_sum(make, name, kind, deep_supervision):
    trainer = make(f"{name}_4epochs", kind=kind, enable_deep_supervision=deep_supervision)
    trainer.initialize()
    training, _ = trainer.get_dataloaders()
    batch = next(training)
    with torch.no_grad():
        logits = trainer.network(batch["data"])
        parts = []
        for weights in ((1.0, 0.0), (0.0, 1.0)):
            set_loss_weights(trainer.loss, *weights)
            parts.append(trainer.loss(logits, batch["target"]))
        for trainer.current_epoch, (dice, ce) in enumerate(PHASES):
            trainer.on_epoch_start()
            found = trainer.loss(logits, batch["target"])
            torch.testing.assert_close(found, dice * parts[0] + ce * parts[1])


def test_ordinary_weights_leave_nnunets_loss_alone(make):
    trainer = make("SegResNetNLTrainer_OrdinaryLoss")
    trainer.initialize()
    trainer.on_epoch_start()
    assert (trainer.loss.loss.weight_dice, trainer.loss.loss.weight_ce) == (1, 1)
    assert trainer.weights is None


def test_weights_are_logged_and_kept_by_checkpoints(make):
    name = "SegResNetNLTrainer_PhaseLoss_4epochs_1iterations"
    trainer = make(name)
    trainer.num_epochs = 2  # as if it had been killed
    trainer.run_training()
    trainer = make(name)
    trainer.load_checkpoint(str(Path(trainer.output_folder) / "checkpoint_final.pth"))
    trainer.run_training()
    assert (
        list(zip(*(trainer.logger.get_value(key, None) for key in (DICE, CE)), strict=True))[2:] == PHASES[2:]
    )
    (log,) = [
        path.read_text(encoding="utf-8") for path in sorted(Path(trainer.output_folder).glob("training_log*"))
    ][-1:]
    assert "Loss weights: Dice 0.7000, CE 0.3000" in log


@pytest.mark.parametrize(("suffix", "height"), [("_PhaseLoss", 60 + 200), ("", 60)])
def test_each_epoch_adds_the_weights_to_nnunets_progress_picture(make, monkeypatch, suffix, height):
    def draw(self, folder):
        imsave(Path(folder) / "progress.png", np.full((60, 600, 3), 127, np.uint8))

    trainer = make(f"SegResNetNLTrainer{suffix}_2epochs_1iterations")
    monkeypatch.setattr(LocalLogger, "plot_progress_png", draw)
    heights = []
    end = trainer.on_epoch_end

    def end_and_look():
        end()
        heights.append(len(imread(Path(trainer.output_folder) / "progress.png")))

    monkeypatch.setattr(trainer, "on_epoch_end", end_and_look)
    trainer.run_training()
    assert heights == [height, height]


def test_the_weights_appear_in_the_progress_picture(tmp_path):
    picture = tmp_path / "progress.png"
    imsave(picture, np.full((60, 900, 3), 0.5))
    columns = {DICE: [0.6, 0.7], CE: [0.4, 0.3]}
    append_weights_panel(picture, SimpleNamespace(get_value=lambda key, step: columns[key]))
    found = imread(picture)[..., :3]
    assert found.shape == (60 + 300, 900, 3)
    np.testing.assert_allclose(found[:60], 0.5, atol=0.01)
    assert found[60:].std() > 0.05
    assert [path.name for path in tmp_path.iterdir()] == ["progress.png"]


def test_the_picture_stays_in_bytes(tmp_path):
    """Floats of nnU-Net's picture, 3000 x 5400 pixels, would raise the peak memory that is logged."""
    picture = tmp_path / "progress.png"
    imsave(picture, np.full((1080, 600, 3), 127, np.uint8))
    columns = {DICE: [0.6, 0.7], CE: [0.4, 0.3]}
    logger = SimpleNamespace(get_value=lambda key, step: columns[key])
    append_weights_panel(picture, logger)  # matplotlib's fonts are loaded by now
    imsave(picture, np.full((1080, 600, 3), 127, np.uint8))
    tracemalloc.start()
    append_weights_panel(picture, logger)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 1280 * 600  # one float for each value alone would be that much threefold


def test_another_loss_cannot_be_weighted():
    with pytest.raises(TypeError, match="MSELoss is not a weighted sum of Dice and cross-entropy"):
        set_loss_weights(nn.MSELoss(), 1.0, 1.0)
