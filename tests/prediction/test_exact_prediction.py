"""`--speed exact` gives what nnU-Net's own predictor gives, bit for bit, whatever the model."""

import json
import pickle
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
from contracts.host_commands import Project
from contracts.made_preprocessed import DATASET
from nnunetv2.ensembling.ensemble import merge_files
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.postprocessing.remove_connected_components import load_postprocess_save
from nnunetv2.postprocessing.remove_connected_components import (
    remove_all_but_largest_component_from_segmentation as keep_largest,
)
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from prediction.made_models import (
    SHAPE,
    array,
    plans_of,
    predict,
    record,
    stock,
    voxels,
    write_image,
    write_model,
)


def assert_same(ours, theirs):
    """Equal voxels, type and geometry."""
    one, other = sitk.ReadImage(str(ours)), sitk.ReadImage(str(theirs))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(one), sitk.GetArrayFromImage(other))
    for attribute in ("GetPixelID", "GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(one, attribute)() == getattr(other, attribute)()


@pytest.mark.parametrize(
    ("configuration", "folds", "labels"),
    [
        ("2d", ("0",), "two foregrounds"),
        ("3d_fullres", ("0",), "two foregrounds"),
        ("3d_lowres", ("0", "1"), "two foregrounds"),
        ("3d_fullres", ("0", "1", "2"), "one foreground"),
        ("3d_fullres", ("all",), "ignore"),
        ("2d", ("0", "1"), "regions"),
        ("3d_fullres", ("0",), "regions and ignore"),
    ],
)
def test_labels_equal_nnunets(results, image, tmp_path, configuration, folds, labels):
    model = write_model(results, configuration, folds=folds, labels=labels)
    assert predict(image, "-o", tmp_path / "ours", "-m", model) == 0
    theirs = stock(model, [[image]], tmp_path / "theirs", folds=[f if f == "all" else int(f) for f in folds])
    assert len(np.unique(array(theirs / "ct.nii.gz"))) > 1
    assert_same(tmp_path / "ours" / "ct.nii.gz", theirs / "ct.nii.gz")


def test_an_image_of_another_spacing_is_resampled_as_by_nnunet(results, tmp_path):
    image = write_image(tmp_path / "ct_0000.nii.gz", spacing=(1.0, 0.9, 4.0), shape=(7, 30, 33))
    model = write_model(results)
    assert predict(image, "-o", tmp_path / "ours", "-m", model) == 0
    assert_same(tmp_path / "ours" / "ct.nii.gz", stock(model, [[image]], tmp_path / "theirs") / "ct.nii.gz")


@pytest.mark.parametrize("kept", [(slice(2, 6), slice(5, 28), slice(6, 30)), (slice(0, 0),) * 3])
def test_an_image_with_an_empty_border_or_nothing_else(results, tmp_path, kept):
    values = np.zeros(SHAPE, np.int16)
    values[kept] = voxels()[kept]
    image = tmp_path / "ct_0000.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(values), str(image))
    model = write_model(results)
    assert predict(image, "-o", tmp_path / "ours", "-m", model) == 0
    assert_same(tmp_path / "ours" / "ct.nii.gz", stock(model, [[image]], tmp_path / "theirs") / "ct.nii.gz")


def test_several_channels_as_files_and_as_a_folder(results, tmp_path):
    files = [write_image(tmp_path / "in" / f"a_{channel:04d}.nii.gz", seed=channel) for channel in range(2)]
    model = write_model(results, channels=2)
    theirs = stock(model, [files], tmp_path / "theirs") / "a.nii.gz"
    for given in ([files[1], files[0]], [tmp_path / "in"]):
        out = tmp_path / f"ours {len(given)}"
        assert predict(*given, "-o", out, "-m", model) == 0
        assert_same(out / "a.nii.gz", theirs)


def test_without_mirroring(results, image, tmp_path):
    model = write_model(results)
    assert predict(image, "-o", tmp_path / "ours", "-m", model, "--disable_tta") == 0
    theirs = stock(model, [[image]], tmp_path / "theirs", mirroring=False)
    assert_same(tmp_path / "ours" / "ct.nii.gz", theirs / "ct.nii.gz")


def test_probabilities_and_properties_are_nnunets(results, image, tmp_path):
    model = write_model(results, folds=("0", "1"))
    ours = tmp_path / "ours"
    assert predict(image, "-o", ours, "-m", model, "--save_probabilities") == 0
    theirs = stock(model, [[image]], tmp_path / "theirs", folds=(0, 1), probabilities=True)
    assert_same(ours / "ct.nii.gz", theirs / "ct.nii.gz")
    with np.load(ours / "ct.npz") as one, np.load(theirs / "ct.npz") as other:
        assert list(one) == list(other) == ["probabilities"]
        np.testing.assert_array_equal(one["probabilities"], other["probabilities"])
    assert repr(pickle.loads((ours / "ct.pkl").read_bytes())) == repr(
        pickle.loads((theirs / "ct.pkl").read_bytes())
    )
    for name in ("plans.json", "dataset.json"):
        assert json.loads((ours / name).read_text(encoding="utf-8")) == json.loads(
            (theirs / name).read_text(encoding="utf-8")
        )


def test_a_cascade_runs_the_stage_before_it(results, image, tmp_path):
    first = write_model(results, "3d_lowres", folds=("0", "1"))
    second = write_model(results, "3d_cascade_fullres", folds=("0", "1"))
    assert predict(image, "-o", tmp_path / "ours", "-d", 7, "-c", "3d_cascade_fullres") == 0
    before = stock(first, [[image]], tmp_path / "before", folds=(0, 1))
    theirs = stock(second, [[image]], tmp_path / "theirs", folds=(0, 1), previous=before)
    assert_same(tmp_path / "ours" / "ct.nii.gz", theirs / "ct.nii.gz")
    stages = record(tmp_path / "ours")["stages"]
    assert [stage["configuration"] for stage in stages] == ["3d_lowres", "3d_cascade_fullres"]


def test_each_fold_is_what_nnunet_predicts_with_it_alone(results, image, tmp_path):
    model = write_model(results, folds=("0", "1"))
    ours = tmp_path / "ours"
    assert predict(image, "-o", ours, "-m", model, "--per-fold") == 0
    for fold in (0, 1):
        theirs = stock(model, [[image]], tmp_path / f"theirs {fold}", folds=(fold,))
        assert_same(ours / f"fold_{fold}" / "ct.nii.gz", theirs / "ct.nii.gz")


def write_choice(results, *configurations, folds=(0,), postprocessing=([], [])):
    """Write what nnUNetv2_find_best_configuration would, with the path of another machine."""
    root = results / DATASET
    source = f"ensembles/ensemble___{'___'.join(configurations)}"
    (root / source).mkdir(parents=True)
    (root / source / "postprocessing.pkl").write_bytes(pickle.dumps(postprocessing))
    content = {
        "folds": list(folds),
        "dataset_name_or_id": 7,
        "best_model_or_ensemble": {
            "postprocessing_file": f"/another/machine/nnUNet_results/{DATASET}/{source}/postprocessing.pkl",
            "selected_model_or_models": [
                {"configuration": name, "trainer": "nnUNetTrainer", "plans_identifier": "nnUNetPlans"}
                for name in configurations
            ],
        },
    }
    (root / "inference_information.json").write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize("labels", ["two foregrounds", "regions"])
def test_the_best_configurations_are_ensembled_and_postprocessed(results, image, tmp_path, labels):
    models = [write_model(results, name, labels=labels, folds=("0", "1")) for name in ("2d", "3d_fullres")]
    postprocessing = (
        [keep_largest, keep_largest],
        [{"labels_or_regions": [(1, 2)]}, {"labels_or_regions": np.int64(1)}],  # as nnU-Net writes it
    )
    write_choice(results, "2d", "3d_fullres", folds=(0, 1), postprocessing=postprocessing)
    assert predict(image, "-o", tmp_path / "ours", "--best", 7) == 0
    members = [
        stock(model, [[image]], tmp_path / model.name, folds=(0, 1), probabilities=True) for model in models
    ]
    manager = PlansManager(plans_of())
    merged = tmp_path / "merged"
    dataset_json = json.loads((models[0] / "dataset.json").read_text(encoding="utf-8"))
    merge_files(
        [str(member / "ct.npz") for member in members],
        str(merged),
        ".nii.gz",
        SimpleITKIO(),
        manager.get_label_manager(dataset_json),
    )
    load_postprocess_save(f"{merged}.nii.gz", str(tmp_path / "theirs.nii.gz"), SimpleITKIO(), *postprocessing)
    before, after = array(tmp_path / "merged.nii.gz"), array(tmp_path / "theirs.nii.gz")
    assert (before != after).any()
    assert_same(tmp_path / "ours" / "ct.nii.gz", tmp_path / "theirs.nii.gz")
    content = record(tmp_path / "ours")
    assert [model["configuration"] for model in content["model"]] == ["2d", "3d_fullres"]
    assert content["options"]["postprocessing_sha256"]


def test_a_copy_of_the_choice_is_taken_instead_of_the_datasets_own(results, image, tmp_path):
    write_model(results, "2d")
    write_model(results, "3d_fullres")
    write_choice(results, "2d")
    kept = (results / DATASET / "inference_information.json").rename(tmp_path / "2d.json")
    write_choice(results, "3d_fullres")
    assert predict(image, "-o", tmp_path / "ours", "--best", kept) == 0
    assert [model["configuration"] for model in record(tmp_path / "ours")["model"]] == ["2d"]


def test_an_ensemble_of_a_cascade_and_its_first_stage_runs_that_once(results, image, tmp_path):
    first, second = (write_model(results, name) for name in ("3d_lowres", "3d_cascade_fullres"))
    write_choice(results, "3d_lowres", "3d_cascade_fullres")
    assert predict(image, "-o", tmp_path / "ours", "--best", DATASET) == 0
    before = stock(first, [[image]], tmp_path / "before")
    members = [
        stock(first, [[image]], tmp_path / "one", probabilities=True),
        stock(second, [[image]], tmp_path / "two", previous=before, probabilities=True),
    ]
    mean = sum(np.load(member / "ct.npz")["probabilities"] for member in members) / 2
    np.testing.assert_array_equal(array(tmp_path / "ours" / "ct.nii.gz"), mean.argmax(0))
    stages = record(tmp_path / "ours")["stages"]
    assert [stage["configuration"] for stage in stages] == ["3d_lowres", "3d_cascade_fullres"]


@pytest.mark.parametrize("reader", ["NibabelIO", "NibabelIOWithReorient", "SimpleITKIOWithReorient"])
def test_another_reader_of_nnunet(results, image, tmp_path, reader):
    """Lesions and entropy are those of the file's array, also where the reader turns its axes."""
    written = sitk.ReadImage(str(image))
    sitk.WriteImage(sitk.PermuteAxes(written, (2, 0, 1)), str(image))
    model = write_model(results, plans=plans_of(image_reader_writer=reader))
    assert predict(image, "-o", tmp_path / "ours", "-m", model, "--entropy") == 0
    theirs = stock(model, [[image]], tmp_path / "theirs")
    assert_same(tmp_path / "ours" / "ct.nii.gz", theirs / "ct.nii.gz")
    labels = sitk.ReadImage(str(tmp_path / "ours" / "ct.nii.gz"))
    array_of_file = sitk.GetArrayFromImage(labels)
    entropy = sitk.ReadImage(str(tmp_path / "ours" / "ct_entropy.nii.gz"))
    assert entropy.GetSize() == labels.GetSize()
    for attribute in ("GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(entropy, attribute)(), getattr(labels, attribute)(), atol=1e-5)
    lesions = record(tmp_path / "ours")["lesions"]
    assert lesions
    for lesion in lesions:
        assert array_of_file[tuple(lesion["voxel"])] == 2
        if lesion["voxels"] == 1:
            place_mm = labels.TransformIndexToPhysicalPoint(lesion["voxel"][::-1])
            np.testing.assert_allclose(place_mm, lesion["centre_mm"], atol=0.01)


@pytest.mark.parametrize("ending", [".nii", ".nrrd", ".mha"])
def test_other_formats_give_the_same_labels(results, image, tmp_path, ending):
    other = tmp_path / f"other{ending}"
    sitk.WriteImage(sitk.ReadImage(str(image)), str(other))
    model = write_model(results, "2d")
    assert predict(image, other, "-o", tmp_path / "ours", "-m", model) == 0
    assert_same(tmp_path / "ours" / "other.nii.gz", tmp_path / "ours" / "ct.nii.gz")


def test_slices_in_png(results, tmp_path):
    model = write_model(
        results, "2d", plans=plans_of(image_reader_writer="NaturalImage2DIO"), file_ending=".png"
    )
    values = np.random.default_rng(0).integers(0, 255, (40, 36), dtype=np.uint8)
    image = tmp_path / "slice_0000.png"
    sitk.WriteImage(sitk.GetImageFromArray(values), str(image))
    assert predict(image, "-o", tmp_path / "ours", "-m", model) == 0
    theirs = stock(model, [[image]], tmp_path / "theirs")
    np.testing.assert_array_equal(array(tmp_path / "ours" / "slice.png"), array(theirs / "slice.png"))
    assert set(record(tmp_path / "ours", "slice")["volumes_ml"].values()) == {None}


def test_a_renamed_folder_is_a_model_too(results, image, tmp_path):
    model = write_model(results, "2d")
    renamed = shutil.copytree(model, tmp_path / "my model")
    assert predict(image, "-o", tmp_path / "ours", "-m", renamed) == 0
    theirs = stock(model, [[image]], tmp_path / "theirs")
    assert_same(tmp_path / "ours" / "ct.nii.gz", theirs / "ct.nii.gz")
    assert record(tmp_path / "ours")["model"][0]["configuration"] == "2d"


@pytest.mark.slow
def test_labels_equal_those_of_the_command_of_nnunet(results, image, tmp_path):
    write_model(results, folds=("0", "1"))
    write_image(image.parent / "b_0000.nii.gz", seed=5, spacing=(1.1, 1.0, 4.0))
    words = ("-i", image.parent, "-o", tmp_path / "theirs", "-d", 7, "-c", "3d_fullres", "-f", 0, 1)
    Project(tmp_path, results).run("nnUNetv2_predict", *words, "-device", "cpu")
    assert predict(image.parent, "-o", tmp_path / "ours", "-d", 7, "-c", "3d_fullres", "--threads", 1) == 0
    for case in ("ct", "b"):
        assert_same(tmp_path / "ours" / f"{case}.nii.gz", tmp_path / "theirs" / f"{case}.nii.gz")
