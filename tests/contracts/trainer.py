"""The contract of every trainer of the package. The test of a new trainer is a subclass that names it.

`LossContract` is for a trainer of nnU-Net's own network that changes the loss alone.
"""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from contracts.made_preprocessed import (
    DATASET,
    LABELS,
    PATCHES,
    made_dataset_json,
    made_plans,
    make_preprocessed,
    make_previous_stage,
    use_folders,
)
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.run.load_pretrained_weights import load_pretrained_weights
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_pancext import trainers
from nnunet_pancext.errors import PancextError
from nnunet_pancext.trainers import NetworkTrainer, PancextTrainer


class ContinuedRunContract:
    """The part of the contracts that a paper's recipe keeps too."""

    trainer: type[PancextTrainer]
    recipe = ""  # suffixes under which it is tried
    resumed = "3d_fullres"  # the configuration in which a continued run is compared
    stopped_before = 2  # the epoch that it starts again with, of 3

    @pytest.fixture(autouse=True)
    def _quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        if not issubclass(self.trainer, NetworkTrainer):
            return  # the made plan's network is small
        options = {**self.trainer.network_options, **self.trainer.small_options}
        monkeypatch.setattr(self.trainer, "network_options", options)

    @pytest.fixture
    def folders(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        use_folders(monkeypatch, tmp_path)
        make_preprocessed(tmp_path)
        return tmp_path

    def variant(self, suffixes: str = "_3epochs_1iterations") -> type[PancextTrainer]:
        found = trainers.find_trainer(self.trainer.__name__ + self.recipe + suffixes)
        assert found is not None
        return found

    def make(
        self,
        configuration: str,
        *,
        kind: str = "two foregrounds",
        channels: int = 1,
        trainer: type[PancextTrainer] | None = None,
    ) -> PancextTrainer:
        plans = {**made_plans(channels), "continue_training": False}
        dataset_json = made_dataset_json(kind, channels)
        return (trainer or self.variant())(plans, configuration, 0, dataset_json, torch.device("cpu"))

    def test_a_continued_run_is_bit_for_bit_the_uninterrupted_one(self, folders, monkeypatch):
        monkeypatch.setenv("PANCEXT_SEED", "5")
        uninterrupted = self.make(self.resumed)
        uninterrupted.run_training()
        expected = _final_weights(uninterrupted)

        monkeypatch.setenv("nnUNet_results", str(folders / "nnUNet_results" / "second"))
        killed = self.make(self.resumed)
        _stop_before_epoch(killed, self.stopped_before, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            killed.run_training()
        continued = self.make(self.resumed)
        continued.load_checkpoint(str(Path(continued.output_folder) / "checkpoint_latest.pth"))
        assert continued.current_epoch == self.stopped_before
        continued.run_training()
        found = _final_weights(continued)
        assert found.keys() == expected.keys()
        different = [name for name in expected if not torch.equal(found[name], expected[name])]
        assert not different


class LossContract(ContinuedRunContract):
    left_out: tuple[str, ...] = ()  # configurations and kinds of labels that another trainer covers
    refused: dict[str, str] = {}  # kinds of labels that it refuses, and the message

    def skip_if_left_out(self, case: str) -> None:
        if case in self.left_out:
            pytest.skip("left out to save time: another trainer covers it")

    def test_nnunet_finds_this_very_class(self):
        name = self.trainer.__name__
        assert recursive_find_trainer_class_by_name(name) is self.trainer
        assert getattr(trainers, name) is self.trainer
        assert pickle.loads(pickle.dumps(self.trainer)) is self.trainer
        assert "__" not in name

    @pytest.mark.parametrize("kind", LABELS)
    def test_every_kind_of_labels(self, tmp_path, monkeypatch, kind):
        self.skip_if_left_out(kind)
        use_folders(monkeypatch, tmp_path)
        make_preprocessed(tmp_path, kind=kind, channels=2)
        if kind in self.refused:
            with pytest.raises(PancextError, match=self.refused[kind]):
                self.make("2d", kind=kind, channels=2).initialize()
            return
        self._one_epoch(self.make("2d", kind=kind, channels=2))

    def _one_epoch(self, trainer: PancextTrainer) -> None:
        trainer.num_epochs = 1
        trainer.num_iterations_per_epoch = trainer.num_val_iterations_per_epoch = 1
        trainer.initialize()
        before = [parameter.detach().clone() for parameter in trainer.network.parameters()]
        trainer.run_training()
        assert np.isfinite(trainer.logger.get_value("train_losses", step=-1))
        after = list(trainer.network.parameters())
        assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))


class TrainerContract(LossContract):
    @property
    def supervises(self) -> bool:
        """Whether the trainer trains with deep supervision by default."""
        return getattr(self.trainer, "enable_deep_supervision", True)

    @pytest.mark.parametrize("configuration", [*PATCHES, "3d_cascade_fullres"])
    def test_a_training_step_in_every_configuration(self, folders, configuration):
        self.skip_if_left_out(configuration)
        kind = self.variant()
        make_previous_stage(folders, kind.__name__)
        self._one_epoch(self.make(configuration, trainer=kind))

    def test_a_training_step_without_deep_supervision(self, folders):
        if not self.supervises:
            pytest.skip("the network has one output")
        kind = self.variant()
        kind = type(kind.__name__, (kind,), {"enable_deep_supervision": False})
        self._one_epoch(self.make("2d", trainer=kind))

    def test_pretrained_weights_carry_over_to_other_labels(self, tmp_path, capsys):
        plans = PlansManager(made_plans())
        trained, other = (
            self.trainer.build_network_architecture(
                plans, plans.get_configuration("2d"), 1, classes, enable_deep_supervision=self.supervises
            )
            for classes in (3, 5)
        )
        with torch.no_grad():
            for parameter in trained.parameters():
                parameter.normal_()
        file = tmp_path / "checkpoint_final.pth"
        torch.save({"network_weights": trained.state_dict()}, file)
        load_pretrained_weights(other, str(file))
        found = other.state_dict()
        taken = {key: value for key, value in trained.state_dict().items() if ".seg_layers." not in key}
        assert len(taken) > 10
        assert all(torch.equal(found[key], value) for key, value in taken.items())

    def test_outputs_match_the_targets(self, folders):
        trainer = self.make("3d_fullres")
        trainer.initialize()
        training, _ = trainer.get_dataloaders()
        batch = next(training)
        outputs = trainer.network(batch["data"])
        if not self.supervises:
            assert outputs.shape[2:] == batch["target"].shape[2:]
            return
        assert [output.shape[2:] for output in outputs] == [target.shape[2:] for target in batch["target"]]
        factors = self.weight_factors(trainer)
        assert len(outputs) == len(factors)
        assert sum(factors) == pytest.approx(1)

    def weight_factors(self, trainer: PancextTrainer) -> list[float]:
        """Return how much each output counts in the loss."""
        return trainer.loss.weight_factors

    def test_a_parameter_without_a_gradient_does_not_ask_for_one(self, folders):
        """Else DistributedDataParallel would stop. The coarsest head has weight 0 unless under DDP."""
        if not issubclass(self.trainer, NetworkTrainer):
            pytest.skip("the heads are nnU-Net's own")
        for deep_supervision in {self.supervises, False}:
            kind = type("Probe", (self.variant(),), {"enable_deep_supervision": deep_supervision})
            trainer = self.make("3d_fullres", trainer=kind)
            trainer.initialize()
            training, _ = trainer.get_dataloaders()
            batch = next(training)
            if deep_supervision:
                trainer.loss.weight_factors = [1.0] * len(trainer.loss.weight_factors)
            trainer.loss(trainer.network(batch["data"]), batch["target"]).backward()
            idle = [
                name
                for name, value in trainer.network.named_parameters()
                if value.requires_grad and value.grad is None
            ]
            assert not idle

    @pytest.mark.parametrize("configuration", ["2d", "3d_fullres"])
    def test_prediction_is_the_network_applied_by_hand(self, folders, configuration):
        self.skip_if_left_out(configuration)
        kind = self.variant("_1epochs_1iterations")
        trainer = self.make(configuration, trainer=kind)
        trainer.run_training()
        predictor = nnUNetPredictor(
            use_gaussian=False, use_mirroring=False, device=torch.device("cpu"), allow_tqdm=False
        )
        predictor.initialize_from_trained_model_folder(
            trainer.output_folder_base, (0,), "checkpoint_final.pth"
        )
        patch = PATCHES[configuration][0]
        image = torch.randn(1, *([3] if len(patch) == 2 else []), *patch)
        found = predictor.predict_logits_from_preprocessed_data(image)

        plans = PlansManager(made_plans())
        network = kind.build_network_architecture(
            plans, plans.get_configuration(configuration), 1, 3, enable_deep_supervision=False
        )
        network.load_state_dict(_final_weights(trainer), strict=True)
        network.eval()
        with torch.no_grad():
            if len(patch) == 2:
                expected = torch.stack([network(image[:, None, z])[0] for z in range(3)], dim=1)
            else:
                expected = network(image[None])[0]
        # nnU-Net adds up in half precision
        torch.testing.assert_close(found.float(), expected, rtol=1e-3, atol=1e-3)


def _final_weights(trainer: PancextTrainer) -> dict[str, torch.Tensor]:
    checkpoint = torch.load(Path(trainer.output_folder) / "checkpoint_final.pth", weights_only=False)
    assert checkpoint["trainer_name"] == type(trainer).__name__
    assert Path(trainer.output_folder_base).parent.name == DATASET
    return checkpoint["network_weights"]


def _stop_before_epoch(trainer: PancextTrainer, epoch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    start = trainer.on_epoch_start

    def interrupted() -> None:
        if trainer.current_epoch == epoch:
            raise KeyboardInterrupt
        start()

    monkeypatch.setattr(trainer, "on_epoch_start", interrupted)
