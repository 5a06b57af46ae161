"""One step of training of every trainer, ablations too; the families' first ones have the whole contract."""

from pathlib import Path

import pytest
import torch
from contracts.made_preprocessed import PATCHES, made_trainer, make_preprocessed, use_folders
from torch.nn import functional

from nnunet_pancext.trainers import NetworkTrainer, list_trainers


def made_batch(trainer):
    """Return a batch as nnU-Net's loader gives it: an organ with a lesion, at the size of each output."""
    patch = PATCHES["2d"][0]
    labels = torch.zeros(2, 1, *patch)
    labels[..., 8:20, 8:20] = 1
    labels[..., 12:16, 12:16] = 2
    image = labels + torch.randn(2, 1, *patch, generator=torch.Generator().manual_seed(0))
    scales = trainer._get_deep_supervision_scales()
    if scales is None:
        return {"data": image, "target": labels, "keys": ["one", "other"]}
    sizes = [[round(length * step) for length, step in zip(patch, scale, strict=True)] for scale in scales]
    targets = [functional.interpolate(labels, size=size, mode="nearest") for size in sizes]
    return {"data": image, "target": targets, "keys": ["one", "other"]}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nnunet")
    make_preprocessed(folder)
    return folder


@pytest.mark.parametrize("name", list_trainers())
def test_it_takes_a_step_and_reloads(name, root, tmp_path, monkeypatch):
    use_folders(monkeypatch, root)
    kind = list_trainers()[name]
    if issubclass(kind, NetworkTrainer):
        monkeypatch.setattr(kind, "network_options", {**kind.network_options, **kind.small_options})

    def make():
        trainer = made_trainer(kind)
        trainer.initialize()
        return trainer

    trainer = make()
    before = [parameter.detach().clone() for parameter in trainer.network.parameters()]
    trainer.on_epoch_start()
    trainer.network.train()
    result = trainer.train_step(made_batch(trainer))
    assert torch.isfinite(torch.as_tensor(result["loss"])).all()
    assert not all(map(torch.equal, before, trainer.network.parameters()))
    file = tmp_path / "checkpoint.pth"
    trainer.save_checkpoint(str(file))
    reloaded = make()
    reloaded.load_checkpoint(str(file))
    expected, found = trainer.network.state_dict(), reloaded.network.state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[key], value) for key, value in expected.items())
