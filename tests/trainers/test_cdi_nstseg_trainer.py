import pytest
import torch
from contracts.trainer import TrainerContract
from nnunetv2.run.load_pretrained_weights import load_pretrained_weights
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_pancext import trainers
from nnunet_pancext.architectures.blocks.target_mining import TargetMining
from nnunet_pancext.trainers import (
    CDINSTSegECATrainer,
    CDINSTSegSAMTrainer,
    CDINSTSegSETrainer,
    CDINSTSegTrainer,
)
from nnunet_pancext.trainers.machinery.default_plan import default_plans

ABLATIONS = {
    "CDINSTSegNoSFMTrainer": {"scale_fusion": False},
    "CDINSTSegNoGLMTrainer": {"localization": False},
    "CDINSTSegNoLFMTrainer": {"focusing": False},
    "CDINSTSegOneScaleTrainer": {"scales": (1.0,)},
    "CDINSTSegSmallerScaleTrainer": {"scales": (0.5, 1.0)},
    "CDINSTSegLargerScaleTrainer": {"scales": (1.0, 1.5)},
    # This paper's foreground exploration finds what is missing: in the features of the background.
    "CDINSTSegForegroundTrainer": {"sides": ("background",)},
    "CDINSTSegBackgroundTrainer": {"sides": ("foreground",)},
    "CDINSTSegSETrainer": {"attention": "se"},
    "CDINSTSegECATrainer": {"attention": "eca"},
    "CDINSTSegSAMTrainer": {"attention": "sam"},
}


class TestCDINSTSegTrainer(TrainerContract):
    trainer = CDINSTSegTrainer
    resumed = "2d"

    @pytest.mark.parametrize(("kind", "expected"), [("regions", True), ("two foregrounds", False)])
    def test_a_checkpoint_contains_whether_classes_are_regions(self, tmp_path, monkeypatch, kind, expected):
        from contracts.made_preprocessed import make_preprocessed, use_folders

        use_folders(monkeypatch, tmp_path)
        make_preprocessed(tmp_path, kind=kind)
        trainer = self.make("2d", kind=kind)
        trainer.initialize()
        (mining,) = (module for module in trainer.network.modules() if isinstance(module, TargetMining))
        assert bool(mining.has_regions) is expected
        assert bool(trainer.network.state_dict()["mine.has_regions"]) is expected

    def test_pretrained_weights_do_not_bring_the_regions_of_another_dataset(self, folders, tmp_path, capsys):
        trainer = self.make("2d")
        trainer.initialize()
        file = tmp_path / "other.pth"
        weights = {**trainer.network.state_dict(), "mine.has_regions": torch.tensor(True)}
        torch.save({"network_weights": weights}, file)
        load_pretrained_weights(trainer.network, str(file))
        assert trainer.network.mine.has_regions
        trainer.on_train_start()
        assert not trainer.network.mine.has_regions

    def test_the_maps_weigh_one_one_two_four(self, folders):
        trainer = self.make("2d")
        trainer.initialize()
        assert list(trainer.loss.weight_factors) == [0.5, 0.25, 0.125, 0.125]
        assert [loss.edges for loss in trainer.loss.losses] == [True, True, True, False]

    @pytest.mark.parametrize("suffix", ["_OrdinaryLoss", "_PhaseLoss"])
    def test_a_weighting_brings_nnunets_loss_in_the_place_of_its_own(self, folders, suffix):
        trainer = self.make("2d", trainer=self.variant(suffix + "_1epochs_1iterations"))
        trainer.run_training()
        expected = (0.6, 0.4) if suffix == "_PhaseLoss" else (1, 1)
        assert (trainer.loss.loss.weight_dice, trainer.loss.loss.weight_ce) == expected


class AttentionContract(TrainerContract):
    """The rest is `CDINSTSegTrainer`'s own."""

    resumed = "2d"
    left_out = ("3d_lowres", "3d_cascade_fullres", "fourteen foregrounds", "regions and ignore")


class TestCDINSTSegSETrainer(AttentionContract):
    trainer = CDINSTSegSETrainer


class TestCDINSTSegECATrainer(AttentionContract):
    trainer = CDINSTSegECATrainer


class TestCDINSTSegSAMTrainer(AttentionContract):
    trainer = CDINSTSegSAMTrainer


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_leaves_its_part_out(name):
    trainer = getattr(trainers, name)
    assert issubclass(trainer, CDINSTSegTrainer)
    assert trainer.network_options == ABLATIONS[name]


@pytest.mark.parametrize(("configuration", "recomputes"), [("2d", False), ("3d_fullres", True)])
def test_features_are_recomputed_in_3d(configuration, recomputes):
    plans = PlansManager(default_plans())
    with torch.device("meta"):
        network = CDINSTSegTrainer.build_network_architecture(
            plans, plans.get_configuration(configuration), 1, 3
        )
    assert network.recompute is recomputes
