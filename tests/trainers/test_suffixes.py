import multiprocessing
import pickle

import pytest
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

from nnunet_pancext import trainers
from nnunet_pancext.errors import NNUNetCommandError, PancextError
from nnunet_pancext.losses import DiceOnlyWeights, DynamicWeights, OrdinaryWeights, PhaseWeights
from nnunet_pancext.trainers import SegResNetNLTrainer, find_trainer, similar_trainers


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
def test_an_unknown_suffix_is_refused_with_the_known_ones(suffix):
    name = "SegResNetNLTrainer" + suffix
    with pytest.raises(PancextError, match="SegResNetNLTrainer has no suffix") as error:
        find_trainer(name)
    assert "_50epochs" in str(error.value)
    assert "_20iterations" in str(error.value)
    with pytest.raises(NNUNetCommandError, match="has no suffix"):
        recursive_find_trainer_class_by_name(name)
    assert not hasattr(trainers, name)


def test_the_same_kind_of_suffix_twice_is_refused():
    with pytest.raises(PancextError, match="has both _5epochs and _6epochs: keep one") as error:
        find_trainer("SegResNetNLTrainer_5epochs_6epochs")
    possible = str(error.value).split("These may follow")[1]
    assert "_20iterations" in possible
    assert "_PaperRecipe" not in possible  # this trainer takes none


def test_two_losses_are_refused():
    with pytest.raises(PancextError, match="has both _PhaseLoss and _DynamicLoss: keep one"):
        find_trainer("DLKUNetSTrainer_PhaseLoss_50epochs_DynamicLoss")


@pytest.mark.parametrize(
    "trainer",
    [name for name, trainer in trainers.list_trainers().items() if not trainer.refuses_loss_weighting],
)
@pytest.mark.parametrize(
    ("suffix", "weighting"),
    [("_OrdinaryLoss", OrdinaryWeights), ("_PhaseLoss", PhaseWeights), ("_DynamicLoss", DynamicWeights)],
)
def test_every_trainer_takes_every_weighting(trainer, suffix, weighting):
    for name in (f"{trainer}{suffix}_7epochs", f"{trainer}_7epochs{suffix}"):
        variant = find_trainer(name)
        assert (variant.loss_weighting, variant.num_epochs) == (weighting, 7)


def test_a_trainer_named_after_its_loss_takes_no_other():
    with pytest.raises(PancextError, match="does not take _DynamicLoss: its name already says") as error:
        find_trainer("nnUNetTrainerPhaseLoss_DynamicLoss")
    possible = str(error.value).split("These may follow")[1]
    assert "_50epochs" in possible
    assert "_PhaseLoss" not in possible


def test_only_the_cascade_and_trainers_named_after_a_loss_refuse_a_weighting():
    refusing = {name for name, trainer in trainers.list_trainers().items() if trainer.refuses_loss_weighting}
    assert refusing == {
        "nnUNetTrainerPhaseLoss",
        "nnUNetTrainerDynamicLoss",
        *(name for name in trainers.list_trainers() if name.startswith("PancreasTumorCascade")),
    }


@pytest.mark.parametrize("trainer", [name for name in trainers.list_trainers() if "ISB" not in name])
def test_every_trainer_but_the_cascade_takes_the_isb_loss(trainer):
    name = f"{trainer}_ISBLoss_7epochs"
    if trainer.startswith("PancreasTumorCascade"):
        with pytest.raises(PancextError, match="does not take _ISBLoss: its loss has it already"):
            find_trainer(name)
        return
    variant = find_trainer(name)
    assert (variant.isb_weight, variant.num_epochs) == (0.4, 7)


def test_the_isb_loss_goes_with_a_weighting():
    variant = find_trainer("DLKUNetSTrainer_ISBLoss_PhaseLoss")
    assert (variant.isb_weight, variant.loss_weighting) == (0.4, PhaseWeights)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("SegResNetNLTrainer", "its paper gives no recipe"),
        ("CDINSTSegTrainer", "its paper gives no recipe"),
        (
            "MultiScaleUNetTrainer",
            "the paper's recipe is for the two-stage network: use PancreasTumorCascadeTrainer",
        ),
        ("nnUNetTrainerBaseline", "a baseline follows nnU-Net's recipe"),
        *(
            (f"nnUNetTrainer{part}", "it keeps nnU-Net's recipe, so that only the part differs")
            for part in ("NonLocal", "AttentionGates", "Focusing", "PhaseLoss", "DynamicLoss", "ISB")
        ),
    ],
)
def test_without_a_papers_recipe_the_suffix_is_refused(name, reason):
    with pytest.raises(PancextError, match=f"does not take _PaperRecipe: {reason}") as error:
        find_trainer(name + "_PaperRecipe_50epochs")
    assert "_PaperRecipe" not in str(error.value).split("These may follow")[1]


@pytest.mark.parametrize(
    ("name", "epochs", "weighting", "learning_rate", "weight_decay"),
    [
        ("DLKUNetLTrainer_PaperRecipe", 400, PhaseWeights, 1e-3, 1e-5),
        ("DLKUNetSTrainer_DynamicLoss_PaperRecipe", 400, DynamicWeights, 1e-3, 1e-5),
        ("DLKUNetMTrainer_PaperRecipe_100epochs", 100, PhaseWeights, 1e-3, 1e-5),
        ("DLKUNetMTrainer_100epochs_PaperRecipe_OrdinaryLoss", 100, OrdinaryWeights, 1e-3, 1e-5),
        ("AttentionUNetTrainer_PaperRecipe", 1000, DiceOnlyWeights, 1e-4, 1e-6),
    ],
)
def test_other_suffixes_replace_their_part_of_a_papers_recipe(
    name, epochs, weighting, learning_rate, weight_decay
):
    variant = find_trainer(name)
    assert variant.recipe is variant.paper_recipe
    assert (variant.num_epochs, variant.loss_weighting) == (epochs, weighting)
    assert (variant.initial_lr, variant.weight_decay) == (learning_rate, weight_decay)


@pytest.mark.parametrize(
    "name",
    [
        *("nnUNetTrainer", "nnUNetTrainer_5epochs", "PancextTrainer", "NetworkTrainer", "InjectionTrainer"),
        "SomebodysTrainer_5epochs",
    ],
)
def test_other_names_are_not_ours(name):
    assert find_trainer(name) is None


@pytest.mark.parametrize("name", ["nnUNetTrainer_PhaseLoss", "nnUNetTrainer_5epochs_ISBLoss"])
def test_nnunets_own_trainer_with_our_suffix_names_what_to_use(name):
    with pytest.raises(PancextError, match=name.replace("Trainer", "TrainerBaseline") + " trains the same"):
        find_trainer(name)


@pytest.mark.parametrize(
    ("name", "similar"),
    [
        ("DLKUNetXTrainer_100epochs", {"DLKUNetSTrainer", "DLKUNetMTrainer", "DLKUNetLTrainer"}),
        ("cdinstseg", {"CDINSTSegTrainer"}),
        ("nnUNetTrainerNonlocals", {"nnUNetTrainerNonLocal"}),
    ],
)
def test_a_misspelt_name_has_similar_ones(name, similar):
    assert find_trainer(name) is None
    assert similar <= set(similar_trainers(name))


@pytest.mark.parametrize("name", ["NoSuchTrainer", "nnUNetTrainerDA9", "nnUNetTrainerDiceLos", "Trainer"])
def test_a_name_that_is_far_from_all_has_none(name):
    assert similar_trainers(name) == []


def test_nnunets_search_for_a_misspelt_name_ends_with_similar_ones():
    name = "SegResnetNL5Trainer_50epochs"
    with pytest.raises(NNUNetCommandError, match=rf"there is no trainer {name}\. Similar: SegResNetNL"):
        recursive_find_trainer_class_by_name(name)
