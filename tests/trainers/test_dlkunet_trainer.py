import warnings

import pytest
import torch
from contracts.made_preprocessed import made_dataset_json, made_plans
from contracts.trainer import TrainerContract
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.run.load_pretrained_weights import load_pretrained_weights
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_pancext import trainers
from nnunet_pancext.trainers import DLKUNetLTrainer, DLKUNetSTrainer


class TestDLKUNetLTrainer(TrainerContract):
    """S and M are the same trainer with fewer levels: `test_every_trainer` takes a step of each."""

    trainer = DLKUNetLTrainer
    resumed = "2d"

    def test_a_former_training_continues_in_its_form(self, folders):
        file = folders / "checkpoint.pth"
        former = self.make("2d")
        former.initialize()
        former.save_checkpoint(str(file))
        content = torch.load(file, weights_only=False)
        del content["network_weights"]["second_relu"]
        torch.save(content, file)
        continued = self.make("2d")
        with pytest.warns(UserWarning, match="second ReLU in each block, as in former versions"):
            continued.load_checkpoint(str(file))
        continued.save_checkpoint(str(file))
        assert torch.load(file, weights_only=False)["network_weights"]["second_relu"]

    def test_folds_of_both_forms_predict_each_in_its_own(self):
        plans = PlansManager(made_plans())
        configuration = plans.get_configuration("2d")
        former, present = (self.network(plans, configuration, seed) for seed in (0, 1))
        weights = [dict(former.state_dict()), present.state_dict()]
        del weights[0]["second_relu"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            former.load_state_dict(weights[0])
        image = torch.randn(1, 2, 32, 32, generator=torch.Generator().manual_seed(1))
        expected = torch.stack(
            [predicted(network, [network.state_dict()], plans, image) for network in (former, present)]
        )
        assert not torch.allclose(*expected, rtol=0.1, atol=0.1)
        with pytest.warns(UserWarning, match="DLKUNet"):
            found = predicted(self.network(plans, configuration, 2), weights, plans, image)
        torch.testing.assert_close(found, expected.mean(dim=0), rtol=1e-2, atol=1e-2)

    def test_former_weights_are_no_pretrained_weights(self, folders):
        """nnU-Net would put them in place of this network's own without its form."""
        trainer = self.make("2d")
        trainer.initialize()
        weights = trainer.network.state_dict()
        del weights["second_relu"]
        torch.save({"network_weights": weights}, folders / "former.pth")
        with pytest.raises(AssertionError, match="Key second_relu is missing"):
            load_pretrained_weights(trainer.network, str(folders / "former.pth"))

    def network(self, plans, configuration, seed):
        torch.manual_seed(seed)
        network = self.trainer.build_network_architecture(
            plans, configuration, 1, 3, enable_deep_supervision=False
        )
        return network.eval()


def predicted(network, weights, plans, image):
    """Return the logits of nnU-Net's predictor, the mean over the weights, without mirroring."""
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False, use_mirroring=False)
    predictor.manual_initialization(
        network, plans, plans.get_configuration("2d"), weights, made_dataset_json(), "", None
    )
    return predictor.predict_logits_from_preprocessed_data(image).float()


@pytest.mark.parametrize(("size", "levels"), [("S", 3), ("M", 4), ("L", 5)])
def test_the_name_sets_the_number_of_levels(size, levels):
    plans = PlansManager(made_plans())
    network = getattr(trainers, f"DLKUNet{size}Trainer").build_network_architecture(
        plans, plans.get_configuration("2d"), 1, 2
    )
    assert len(network.encoder) == levels


def test_flat_kernels_of_the_plan_are_the_networks():
    content = made_plans()
    arguments = content["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    arguments["kernel_sizes"] = [[1, 3, 3], *arguments["kernel_sizes"][1:]]
    plans = PlansManager(content)
    network = DLKUNetSTrainer.build_network_architecture(plans, plans.get_configuration("3d_fullres"), 1, 2)
    assert tuple(network.encoder[0].attention.gate[1].kernel_size) == (1, 7, 7)
    assert tuple(network.encoder[1].attention.gate[1].kernel_size) == (7, 7, 7)
