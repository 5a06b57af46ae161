import re
from itertools import pairwise, product
from pathlib import Path

import pytest
import torch
from contracts.cascade_trainer import CascadeContract, made_batch
from contracts.made_preprocessed import made_dataset_json, made_plans
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.run.load_pretrained_weights import load_pretrained_weights
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_pancext import trainers
from nnunet_pancext.architectures.pancreas_tumor_cascade import PHASES
from nnunet_pancext.errors import PancextError
from nnunet_pancext.trainers import PancreasTumorCascadeTrainer
from nnunet_pancext.trainers import pancreas_tumor_cascade as module
from nnunet_pancext.trainers.pancreas_tumor_cascade import PHASE, margin_in_voxels

NAMES = ("M", "MP", "MPT", "MPTL")
FURTHER = ("FalsePositive", "FalseNegative", "Transfer")


def told_in(log):
    """Return the phases that a training's log describes completely."""
    return re.findall(
        r"Phase (\w): stage 1 [\d.]+, stage 2 [\d.e-]+, ISB [\d.e-]+, "
        r"patches without organ [\d.]+(?:, window / patch [\d.]+)?",
        log.read_text(encoding="utf-8"),
    )


class TestPancreasTumorCascadeTrainer(CascadeContract):
    trainer = PancreasTumorCascadeTrainer

    @pytest.mark.parametrize("phases", ["SSS", "III", "SIJ"])
    def test_a_continued_run_is_bit_for_bit_the_uninterrupted_one(self, folders, monkeypatch, phases):
        monkeypatch.setattr(module, "cascade_phase", lambda epoch, num_epochs: phases[epoch])
        super().test_a_continued_run_is_bit_for_bit_the_uninterrupted_one(folders, monkeypatch)

    @pytest.mark.parametrize("name", [*NAMES, *FURTHER, ""], ids=[*NAMES, *FURTHER, "whole"])
    def test_a_training_step_of_every_ablation_in_every_phase(self, folders, monkeypatch, name):
        kind = trainers.find_trainer(f"PancreasTumorCascade{name}Trainer_56epochs")
        monkeypatch.setattr(kind, "network_options", {**kind.network_options, **kind.small_options})
        trainer = self.make("2d", trainer=kind)
        trainer.initialize()
        network = trainer.network
        for phase, epoch in zip(PHASES, (0, 2, 6), strict=True):
            trainer.configure_epoch(epoch, trainer.num_epochs)
            assert network.phase == phase
            before = [parameter.detach().clone() for parameter in network.stage_2.parameters()]
            assert torch.isfinite(torch.tensor(trainer.train_step(made_batch())["loss"]))
            assert all(parameter.grad is not None for parameter in network.parameters())
            after = network.stage_2.parameters()
            assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))

    def test_turned_roles_learn_the_same_from_turned_labels(self, folders):
        learnt = []
        for organ, lesion in ((1, 2), (2, 1)):
            dataset_json = {**made_dataset_json(), "pancext": {"organ": organ, "lesion": lesion}}
            plans = {**made_plans(), "continue_training": False}
            trainer = self.variant()(plans, "2d", 0, dataset_json, torch.device("cpu"))
            torch.manual_seed(0)
            trainer.initialize()
            trainer.train_step(made_batch(organ, lesion))
            assert all(term > 0 for term in trainer.loss.terms.values())
            learnt.append([*trainer.loss.terms.values(), *trainer.network.parameters()])
        torch.testing.assert_close(*learnt)

    def test_the_truth_is_organ_or_lesion(self, folders):
        trainer = self.make("2d")
        trainer.roles = (3, 1)
        target = torch.tensor([0.0, 1.0, 2.0, 3.0]).view(1, 1, 2, 2)
        batch = trainer._with_truth({"data": torch.full((1, 1, 2, 2), 7.0), "target": [target]})
        assert batch["data"].flatten(2).tolist() == [[[7, 7, 7, 7], [0, 1, 0, 1]]]

    @pytest.mark.parametrize(
        ("configuration", "spacing", "margin"),
        [("2d", [0.8, 0.8], (20, 20)), ("3d_fullres", [2.5, 0.8, 0.8], (6, 20, 20))],
    )
    def test_margin_and_boundaries_follow_the_plans_spacing(self, folders, configuration, spacing, margin):
        trainer = self.make(configuration)
        trainer.initialize()
        assert trainer.network.margin == margin
        assert list(trainer.loss.isb.spacing) == spacing

    def test_pretrained_weights_leave_the_roles_of_this_dataset(self, folders, tmp_path, capsys):
        trainer = self.make("2d")
        trainer.initialize()
        file = tmp_path / "other.pth"
        weights = {**trainer.network.state_dict(), "roles": torch.tensor([2, 1])}
        torch.save({"network_weights": weights}, file)
        load_pretrained_weights(trainer.network, str(file))
        assert trainer.network.roles.tolist() == [2, 1]
        trainer.on_train_start()
        assert trainer.network.roles.tolist() == [1, 2]

    def test_prediction_mirrors_and_weighs_patches_that_overlap(self):
        torch.manual_seed(0)
        plans = PlansManager(made_plans())
        configuration = plans.get_configuration("2d")
        network = self.trainer.build_network_architecture(
            plans, configuration, 1, 3, enable_deep_supervision=False
        )
        network.eval()
        image = torch.randn(1, 2, 48, 40, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():  # so that stage 1 finds some organ, but not everywhere
            bias = network.stage_1.head.seg_layers.bias
            bias -= network.stage_1(image[:, :1, :32, :32]).quantile(0.9)
        looked = []
        network.stage_2.register_forward_hook(lambda *_: looked.append(True))
        # By default it mirrors, weighs by a Gaussian and moves by half a patch.
        predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
        predictor.manual_initialization(
            network, plans, configuration, [network.state_dict()], made_dataset_json(), "", (0, 1)
        )
        found = predictor.predict_logits_from_preprocessed_data(image)
        assert looked

        bell = torch.exp(-((torch.arange(32) - 16.0) ** 2) / (2 * 4**2))  # an eighth of the patch
        weights = bell[:, None] * bell
        total, count = torch.zeros(3, 2, 48, 40), torch.zeros(48, 40)
        for y, x in product((0, 16), (0, 8)):
            window = (slice(y, y + 32), slice(x, x + 32))
            count[window] += weights
            for z in range(2):
                patch = image[(slice(None), z, *window)][None]
                with torch.no_grad():
                    flipped = [network(patch.flip(axes)).flip(axes)[0] for axes in ((), (2,), (3,), (2, 3))]
                total[(slice(None), z, *window)] += weights * sum(flipped) / 4
        # nnU-Net adds up in half precision
        torch.testing.assert_close(found.float(), total / count, rtol=1e-2, atol=1e-2)

    def test_each_epoch_logs_phase_and_loss_terms(self, folders):
        trainer = self.make("2d")
        trainer.run_training()
        (log,) = Path(trainer.output_folder).glob("training_log*")
        found = told_in(log)
        assert found == ["S", "I", "J"]
        checkpoint = torch.load(Path(trainer.output_folder) / "checkpoint_final.pth", weights_only=False)
        assert len(checkpoint["logging"]["cascade stage 1"]) == 3
        assert checkpoint["logging"][PHASE] == [0, 1, 2]

    @pytest.mark.parametrize("former", [True, False])
    def test_a_training_that_a_former_version_began_keeps_its_phases(self, folders, monkeypatch, former):
        """It had no phase I where there are 3 epochs, and no phase in nnU-Net's log."""
        trainer = self.make("2d")
        trainer.former_phases = former
        trainer.num_epochs = 1
        trainer.run_training()
        file = Path(trainer.output_folder) / "checkpoint_final.pth"
        assert (PHASE in torch.load(file, weights_only=False)["logging"]) is not former
        continued = self.make("2d")
        continued.load_checkpoint(str(file))
        continued.run_training()
        phases = [
            phase for log in Path(trainer.output_folder).glob("training_log*") for phase in told_in(log)
        ]
        assert sorted(phases) == (["J", "J", "S"] if former else ["I", "J", "S"])
        again = self.make("2d")
        again.load_checkpoint(str(file))
        assert again.former_phases is former

    def test_the_largest_window_is_rehearsed_and_forgotten(self, folders):
        trainer = self.make("2d")
        trainer.initialize()
        before = {name: value.clone() for name, value in trainer.network.state_dict().items()}
        trainer.check_peak_memory()
        assert trainer.loss.windows.size == tuple(trainer.configuration_manager.patch_size)
        after = trainer.network.state_dict()
        assert all(torch.equal(after[name], value) for name, value in before.items())
        assert all(parameter.grad is None for parameter in trainer.network.parameters())

    @pytest.mark.parametrize("entry", [None, {"organ": 2, "lesion": 1}])
    def test_roles_come_from_dataset_json_and_go_into_the_checkpoint(self, folders, entry):
        dataset_json = made_dataset_json()
        if entry:
            dataset_json["pancext"] = entry
        plans = {**made_plans(), "continue_training": False}
        trainer = self.variant()(plans, "2d", 0, dataset_json, torch.device("cpu"))
        trainer.initialize()
        expected = [2, 1] if entry else [1, 2]
        assert trainer.network.state_dict()["roles"].tolist() == expected
        assert [trainer.loss.organ, trainer.loss.lesion] == expected

    def test_fourteen_labels_train_where_dataset_json_sets_the_roles(self, folders):
        dataset_json = {**made_dataset_json("fourteen foregrounds"), "pancext": {"organ": 3, "lesion": 14}}
        plans = {**made_plans(), "continue_training": False}
        trainer = self.variant()(plans, "2d", 0, dataset_json, torch.device("cpu"))
        assert trainer.roles == (3, 14)

    @pytest.mark.parametrize("entry", [{"organ": 1}, {"organ": 1, "lesion": 1}, {"organ": 0, "lesion": 2}, 5])
    def test_an_entry_that_names_no_two_labels_is_refused(self, folders, entry):
        dataset_json = {**made_dataset_json(), "pancext": entry}
        plans = {**made_plans(), "continue_training": False}
        with pytest.raises(PancextError, match="does not name two of its foreground labels"):
            self.variant()(plans, "2d", 0, dataset_json, torch.device("cpu"))


def test_the_margin_is_one_distance_along_every_axis():
    assert margin_in_voxels((0.8, 0.8)) == (20, 20)
    assert margin_in_voxels((2.5, 0.8, 0.8)) == (6, 20, 20)


def test_the_papers_recipe():
    trainer = trainers.find_trainer("PancreasTumorCascadeTrainer_PaperRecipe")
    assert (trainer.num_epochs, trainer.initial_lr, trainer.weight_decay) == (56, 1e-5, 1e-7)
    parameters = [torch.nn.Parameter(torch.zeros(1))]
    optimizer, schedule = trainer.recipe.configure(parameters, num_epochs=56)
    schedule.step(55)
    (group,) = optimizer.param_groups
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (1e-5, 0.9, 1e-7)


@pytest.mark.parametrize("suffix", ["_PhaseLoss", "_ISBLoss"])
def test_suffixes_that_weigh_another_loss_are_refused(suffix):
    with pytest.raises(PancextError, match="its loss"):
        trainers.find_trainer("PancreasTumorCascadeTrainer" + suffix)


def test_ablations_leave_out_one_part_more_each():
    options = [
        getattr(trainers, f"PancreasTumorCascade{name}Trainer").network_options for name in (*NAMES, "")
    ]
    assert [len(option) for option in options] == [4, 3, 2, 1, 0]
    assert all(fewer.items() <= more.items() for more, fewer in pairwise(options))
