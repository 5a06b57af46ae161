"""What a model costs, from its plan and its logs."""

import math
from dataclasses import replace

import pytest
import torch
from made_results import add_model, write_log
from torch import nn

from nnunet_pancext.architectures.dlkunet import DLKUNet
from nnunet_pancext.comparison.cost import cost_remarks, count_multiply_adds, model_cost
from nnunet_pancext.nnunet_files.models import find_models
from nnunet_pancext.trainers.machinery.default_plan import default_plans
from nnunet_pancext.trainers.machinery.plan_setting import default_setting


def costs(tree, *names, folds=(0, 1)):
    models = find_models(tree.results, names, configuration="3d_fullres", plans="nnUNetPlans")
    return [model_cost(model, folds) for model in models]


def test_times_are_those_of_nnunets_log(tree):
    add_model(tree, "A", seconds=10.0, epochs=4)
    add_model(tree, "B", seconds=90.0, epochs=4)
    first, second = costs(tree, "A", "B")
    assert (first.epochs, first.seconds_per_epoch, second.seconds_per_epoch) == (4, 10.0, 90.0)
    assert second.hours == pytest.approx(4 * 90 / 3600)
    assert cost_remarks([first, second]) == []


def test_an_epoch_that_was_run_twice_counts_as_it_was_run_last(tree):
    add_model(tree, "A", seconds=10.0, epochs=4)
    add_model(tree, "B")
    # continued from epoch 2 on another day
    write_log(tree.model("A") / "fold_0" / "training_log_2026_11_21_10_00_00.txt", 40.0, 3, first=2)
    cost, _ = costs(tree, "A", "B", folds=(0,))
    assert cost.epochs == 5
    assert cost.hours == pytest.approx((2 * 10 + 3 * 40) / 3600)
    assert cost.seconds_per_epoch == 40.0


def test_without_a_log_the_reason_is_reported(tree):
    add_model(tree, "A")
    add_model(tree, "B")
    for path in tree.model("A").rglob("training_log_*.txt"):
        path.unlink()
    cost, _ = costs(tree, "A", "B")
    assert cost.epochs == cost.seconds_per_epoch == cost.hours == "no epoch in training_log_*.txt"


def test_peak_memory_and_device_are_read_where_they_are_reported(tree):
    add_model(tree, "A", device="cuda:0", debug={"gpu_name": "NVIDIA H200"})
    add_model(tree, "B")
    with (tree.model("A") / "fold_1" / "training_log_2026_11_20_10_00_00.txt").open(
        "a", encoding="utf-8"
    ) as log:
        log.write("2026-11-20 10:01:00.000000: Peak memory: 7.25 GB on the GPU \n")
    first, second = costs(tree, "A", "B")
    assert (first.peak_gb, first.device) == (7.25, "NVIDIA H200")
    assert (second.peak_gb, second.device) == ("the trainer does not log its peak memory", "cpu")
    [remark] = cost_remarks([first, second])
    assert "different devices and do not compare: A on NVIDIA H200; B on cpu" in remark


def test_different_numbers_of_epochs_are_reported(tree):
    add_model(tree, "A", epochs=3)
    add_model(tree, "B", epochs=5)
    assert "different numbers of epochs: A 3, B 5" in cost_remarks(costs(tree, "A", "B"))[0]


def test_the_parameters_of_nnunets_own_network(tree):
    """The plan's three stages with 4, 8 and 16 features, one convolution each, counted by hand."""
    add_model(tree, "nnUNetTrainer")
    add_model(tree, "SomebodysTrainer")

    def convolution(inputs, outputs, kernel):
        return inputs * outputs * kernel + outputs + 2 * outputs  # bias, and instance norm's two

    encoder = convolution(1, 4, 9) + convolution(4, 8, 27) + convolution(8, 16, 27)
    up = (16 * 8 * 8 + 8) + (8 * 4 * 4 + 4)
    decoder = convolution(16, 8, 27) + convolution(8, 4, 9)
    heads = (8 * 3 + 3) + (4 * 3 + 3)
    ours, others = costs(tree, "nnUNetTrainer", "SomebodysTrainer")
    assert ours.parameters == encoder + up + decoder + heads
    assert others.parameters == "nnU-Net finds no trainer SomebodysTrainer here"
    assert others.seconds_per_epoch == 10.0


def test_a_trainer_that_is_not_here_is_reported_though_its_name_is_similar_to_one_of_ours(tree):
    add_model(tree, "nnUNetTrainer")
    add_model(tree, "SegResNetNLXTrainer")
    _, unknown = costs(tree, "nnUNetTrainer", "SegResNetNLXTrainer")
    assert unknown.parameters == "nnU-Net finds no trainer SegResNetNLXTrainer here"


def test_multiply_adds_of_a_convolution_by_hand():
    sizes = default_setting("2d").sizes("2d")
    counted = count_multiply_adds(lambda: nn.Conv2d(1, 5, 3, padding=1), sizes)
    assert counted == math.prod(sizes.configuration_manager.patch_size) * 9 * 5


def test_multiply_adds_are_the_papers_of_dlkunet():
    plans = default_plans()
    plans["configurations"]["2d"]["patch_size"] = [224, 224]
    sizes = replace(default_setting("2d"), plans=plans).sizes("2d")
    counted = count_multiply_adds(
        lambda: DLKUNet(spatial_dims=2, in_channels=1, num_classes=9, num_levels=3), sizes
    )
    assert counted == pytest.approx(10.280e9, rel=1e-3)


def test_a_network_that_asks_for_a_device_is_counted():
    class Asking(nn.Conv2d):
        def forward(self, image):
            with torch.autocast(image.device.type, enabled=False):
                return super().forward(image)

    sizes = default_setting("2d").sizes("2d")
    counted = count_multiply_adds(lambda: Asking(1, 5, 3, padding=1), sizes)
    assert counted == math.prod(sizes.configuration_manager.patch_size) * 9 * 5


def test_work_that_depends_on_the_image_is_not_guessed():
    class Cropping(nn.Module):
        def forward(self, image):
            return image[:, :, : int((image > 0).nonzero()[0, 0]) + 1]

    sizes = default_setting("2d").sizes("2d")
    assert "the work may depend on the image" in count_multiply_adds(Cropping, sizes)


@pytest.mark.slow
def test_the_cascade_has_parameters_but_no_fixed_work(tree):
    add_model(tree, "PancreasTumorCascadeTrainer")
    add_model(tree, "nnUNetTrainer")
    cascade, _ = costs(tree, "PancreasTumorCascadeTrainer", "nnUNetTrainer")
    assert cascade.parameters > 10**6
    assert "the work may depend on the image" in cascade.multiply_adds
