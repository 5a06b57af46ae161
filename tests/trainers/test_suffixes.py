from __future__ import annotations

import multiprocessing
import pickle

import pytest
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

from nnunet_pancext import trainers
from nnunet_pancext.errors import HostCommandError, PancextError
from nnunet_pancext.trainers import SegResNetNLTrainer, find_trainer


@pytest.mark.parametrize(
    ("suffixes", "epochs", "iterations", "validation"),
    [
        ("_50epochs", 50, None, None),
        ("_20iterations", None, 20, 4),
        ("_7epochs_3iterations", 7, 3, 1),
        ("_3iterations_7epochs", 7, 3, 1),
        ("_1000epochs_250iterations", 1000, 250, 50),
    ],
)
def test_suffixes_in_any_order(suffixes, epochs, iterations, validation):
    variant = find_trainer("SegResNetNL1Trainer" + suffixes)
    assert issubclass(variant, trainers.SegResNetNL1Trainer)
    assert variant.__name__ == "SegResNetNL1Trainer" + suffixes
    assert getattr(variant, "num_epochs", None) == epochs
    assert getattr(variant, "num_iterations_per_epoch", None) == iterations
    assert getattr(variant, "num_val_iterations_per_epoch", None) == validation


def test_a_variant_is_one_class_wherever_it_is_asked_for():
    name = "SegResNetNLTrainer_11epochs"
    variant = recursive_find_trainer_class_by_name(name)
    assert variant is recursive_find_trainer_class_by_name(name)
    assert variant is getattr(trainers, name)
    assert variant.__bases__ == (SegResNetNLTrainer,)
    assert pickle.loads(pickle.dumps(variant)) is variant


def _epochs(variant):
    return variant.num_epochs


@pytest.mark.slow
def test_a_variant_travels_to_a_spawned_process():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_epochs, (find_trainer("SegResNetNLTrainer_12epochs"),)) == 12


@pytest.mark.parametrize(
    "suffix", ["_50epoch", "_epochs", "_0epochs", "_-1epochs", "_PaperRecipe2", "_", "__x"]
)
def test_an_unknown_suffix_is_told_with_the_known_ones(suffix):
    name = "SegResNetNLTrainer" + suffix
    with pytest.raises(PancextError, match="SegResNetNLTrainer knows no suffix") as error:
        find_trainer(name)
    assert "_50epochs" in str(error.value)
    assert "_20iterations" in str(error.value)
    with pytest.raises(HostCommandError, match="knows no suffix"):
        recursive_find_trainer_class_by_name(name)
    assert not hasattr(trainers, name)


def test_the_same_kind_of_suffix_twice_is_refused():
    with pytest.raises(PancextError, match="says both _5epochs and _6epochs: keep one"):
        find_trainer("SegResNetNLTrainer_5epochs_6epochs")


@pytest.mark.parametrize("name", ["nnUNetTrainer", "PancextTrainer", "SomebodysTrainer_5epochs"])
def test_other_names_are_not_ours(name):
    assert find_trainer(name) is None
