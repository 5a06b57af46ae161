"""`exact` against nnU-Net's own command, on models in folders."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from contracts.loaded_folds import Threshold, folds_of, image_of, plans_with
from contracts.made_preprocessed import made_dataset_json, use_folders
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_pancext.checkpoints.trained_network import find_installed_trainer
from nnunet_pancext.errors import PancextError
from nnunet_pancext.inference.export import export
from nnunet_pancext.inference.logits import Request
from nnunet_pancext.inference.predict import predict_logits
from nnunet_pancext.inference.prepared_image import prepare
from nnunet_pancext.inference.trained_folds import TrainedFolds

CPU = torch.device("cpu")
FINAL = "checkpoint_final.pth"
SHAPE = (9, 30, 28)
SPACING = (3.0, 0.9, 0.7)
PATCHES = {"2d": (16, 16), "3d_fullres": (4, 16, 16), "3d_cascade_fullres": (4, 16, 16)}


def write_model(folder, configuration, *, folds, kind="two foregrounds", channels=1, **changes):
    """Write a model of small networks with random weights, which differ between the folds."""
    based_on = configuration.replace("cascade_", "")
    plans = plans_with(
        based_on, PATCHES[configuration], spacing=(2.5, 1.1, 0.8), channels=channels, **changes
    )
    for name in plans["configurations"].values():
        if "architecture" in name:
            small = name["architecture"]["arch_kwargs"]
            small.update(n_stages=3, features_per_stage=[4] * 3, n_conv_per_stage=[1] * 3)
            small.update(n_conv_per_stage_decoder=[1] * 2)
            small.update(strides=small["strides"][:3], kernel_sizes=small["kernel_sizes"][:3])
    manager, dataset_json = PlansManager(plans), made_dataset_json(kind, channels)
    planned = manager.get_configuration(configuration)
    (folder / "plans.json").parent.mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans), encoding="utf-8")
    (folder / "dataset.json").write_text(json.dumps(dataset_json), encoding="utf-8")
    for fold in folds:
        torch.manual_seed(int(fold))
        network = find_installed_trainer("nnUNetTrainer").build_network_architecture(
            manager,
            planned,
            determine_num_input_channels(manager, planned, dataset_json),
            manager.get_label_manager(dataset_json).num_segmentation_heads,
            enable_deep_supervision=False,
        )
        content = {
            "trainer_name": "nnUNetTrainer",
            "init_args": {"configuration": configuration},
            "network_weights": network.state_dict(),
            "inference_allowed_mirroring_axes": tuple(range(len(planned.patch_size))),
        }
        (folder / f"fold_{fold}").mkdir()
        torch.save(content, folder / f"fold_{fold}" / FINAL)
    return folder


@pytest.fixture
def image(tmp_path):
    """Files of two channels within an empty border, and a label map of a previous stage."""
    generator = np.random.default_rng(0)
    files = []
    for name, voxels in (
        ("case_0000", generator.normal(size=SHAPE)),
        ("case_0001", generator.normal(size=SHAPE)),
        ("previous/case", generator.integers(0, 3, SHAPE)),
    ):
        voxels[:1], voxels[:, :3] = 0, 0
        volume = sitk.GetImageFromArray(voxels.astype(np.uint8 if "previous" in name else np.float32))
        volume.SetSpacing(SPACING[::-1])
        path = tmp_path / "in" / f"{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(volume, str(path))
        files.append(str(path))
    return files


@pytest.mark.parametrize(
    ("configuration", "folds", "mirrored", "changes"),
    [
        ("2d", ("0",), True, {}),
        ("2d", ("0", "1"), False, {"channels": 2}),
        ("3d_fullres", ("0", "1", "2"), True, {"kind": "regions"}),
        ("3d_fullres", ("1",), False, {"transpose": (2, 0, 1)}),
        ("3d_cascade_fullres", ("0", "1"), False, {}),
    ],
    ids=["2d", "two channels and folds", "regions and three folds", "other order of axes", "second stage"],
)
def test_labels_and_probabilities_are_nnunets(
    configuration, folds, mirrored, changes, image, tmp_path, monkeypatch
):
    use_folders(monkeypatch, tmp_path)
    folder = write_model(tmp_path / "model", configuration, folds=folds, **changes)
    files = image[: changes.get("channels", 1)]
    is_second = "cascade" in configuration
    predictor = nnUNetPredictor(use_mirroring=mirrored, device=CPU, allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(folder), folds)
    predictor.predict_from_files_sequential(
        [files],
        [str(tmp_path / "stock")],
        save_probabilities=True,
        folder_with_segs_from_prev_stage=str(tmp_path / "in" / "previous") if is_second else None,
    )

    ours = TrainedFolds(folder, folds, checkpoint=FINAL, device=CPU, use_mirroring=mirrored)
    reader = SimpleITKIO()
    previous = reader.read_seg(image[2])[0][0] if is_second else None
    prepared = prepare(ours, *reader.read_images(files), previous=previous)
    logits = predict_logits(ours, prepared, speed="exact", request=Request(per_fold=True))
    label_map, probabilities = export(ours, prepared, logits, with_probabilities=True)

    expected = np.load(tmp_path / "stock.npz")["probabilities"]
    np.testing.assert_array_equal(probabilities, expected)
    stock = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "stock.nii.gz")))
    np.testing.assert_array_equal(label_map, stock)
    assert label_map.dtype == np.uint8
    assert len(np.unique(stock)) > 1
    alone, _ = export(ours, prepared, logits)
    np.testing.assert_array_equal(alone, stock)

    assert prepared.num_previous == (2 if is_second else 0)
    passes = logits.passes
    assert passes.windows == passes.whole_image_windows
    axes = len(PATCHES[configuration]) if mirrored else 0
    assert passes.forwards == passes.windows * 2**axes * len(folds)
    assert len(logits.regions[0].per_fold) == len(folds)


def test_a_folds_logits_are_those_of_the_fold_alone(image, tmp_path):
    folder = write_model(tmp_path / "model", "3d_fullres", folds=("0", "1"))
    both = TrainedFolds(folder, ("0", "1"), checkpoint=FINAL, device=CPU, use_mirroring=False)
    alone = TrainedFolds(folder, ("1",), checkpoint=FINAL, device=CPU, use_mirroring=False)
    prepared = prepare(both, *SimpleITKIO().read_images(image[:1]))
    logits = predict_logits(both, prepared, speed="exact", request=Request(per_fold=True))
    expected = predict_logits(alone, prepared, speed="exact")
    assert torch.equal(logits.regions[0].per_fold[1], expected.regions[0].logits)
    np.testing.assert_array_equal(
        export(both, prepared, logits, fold=1)[0], export(alone, prepared, expected)[0]
    )


@pytest.mark.filterwarnings("ignore:divide by zero")  # in scikit-image
def test_an_image_that_vanishes_on_the_networks_grid_is_refused():
    folds = folds_of([Threshold(3, heads=3)], spacing=(3.0, 1.0, 1.0))
    voxels = np.zeros((8, 20, 20))
    voxels[4] = 1  # a slice of 1 mm, which is a third of one of the network's
    with pytest.raises(
        PancextError, match=r"crops the image to the 1 x 20 x 20 voxels .* vanish on the network"
    ):
        image_of(folds, voxels, spacing=(1.0, 1.0, 1.0))


def change(folder, fold, **entries):
    path = folder / f"fold_{fold}" / FINAL
    torch.save({**torch.load(path, weights_only=False), **entries}, path)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (
            {"trainer_name": "nnUNetTrainerNoMirroring"},
            r"has the trainer nnUNetTrainerNoMirroring, but .*fold_0.* has nnUNetTrainer\. ",
        ),
        (
            {"init_args": {"configuration": "2d"}},
            r"has the configuration 2d, but .* has 3d_fullres\. The folds of a model have the same\.",
        ),
        (
            {"network_weights": {"other": torch.zeros(1)}},
            r"does not fit its plan: .*are missing.*Copy the model again",
        ),
    ],
)
def test_folds_of_other_models_are_refused(entries, message, tmp_path):
    folder = write_model(tmp_path / "model", "3d_fullres", folds=("0", "1"))
    change(folder, 1, **entries)
    with pytest.raises(PancextError, match=f"fold_1.*{message}"):
        TrainedFolds(folder, ("0", "1"), checkpoint=FINAL, device=CPU)


def test_a_missing_checkpoint_lists_what_there_is(tmp_path):
    folder = write_model(tmp_path / "model", "2d", folds=("0", "3"))
    with pytest.raises(
        PancextError,
        match=r"There is no .*fold_1.*This model has: fold_0/checkpoint_final.pth, "
        r"fold_3/checkpoint_final.pth. Choose with -f and -chk.",
    ):
        TrainedFolds(folder, ("0", "1"), checkpoint=FINAL, device=CPU)
    with pytest.raises(PancextError, match=r"No fold of .* is given. Choose with -f."):
        TrainedFolds(folder, (), checkpoint=FINAL, device=CPU)
    (folder / "plans.json").unlink()
    with pytest.raises(PancextError, match=r"is not a trained model: it has no plans\.json"):
        TrainedFolds(folder, ("0",), checkpoint=FINAL, device=CPU)
