"""A dataset cut out of another one by the out-of-fold predictions of a coarse model."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_pancext.campaign.definition import Campaign, write_campaign
from nnunet_pancext.campaign.kinds.crop import Crop
from nnunet_pancext.campaign.workers import crop as crop_worker
from nnunet_pancext.campaign.workers.crop import crop_dataset
from nnunet_pancext.errors import PancextError
from nnunet_pancext.nnunet_files.folders import DUTIES
from nnunet_pancext.raw_cases.region_box import restore_box

SOURCE, TARGET = "Dataset007_Pancreas", "Dataset107_PancreasCrop"
MODEL = f"{SOURCE}/CoarseTrainer__nnUNetPlans__3d_lowres"
FOLDS = [{"train": ["b"], "val": ["a"]}, {"train": ["a"], "val": ["b"]}]
SIZE = (8, 12, 16)
LABELS = {"background": 0, "pancreas": 1, "cancer": 2}


def image(voxels, *, shift=0.0):
    made = sitk.GetImageFromArray(voxels)
    made.SetSpacing((1.0, 2.0, 4.0))
    made.SetOrigin((10.0 + shift, -20.0, 30.0))
    made.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    return made


def write(path, voxels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image(voxels, **options), str(path))


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def marked(*boxes):
    """Return a label map with boxes of a value."""
    voxels = np.zeros(SIZE, np.uint8)
    for (z, y, x), value in boxes:
        voxels[z, y, x] = value
    return voxels


ORGAN = ((slice(2, 5), slice(4, 8), slice(6, 10)), 1)
LESION = ((slice(3, 4), slice(5, 6), slice(7, 8)), 2)
FAR = ((slice(7, 8), slice(11, 12), slice(15, 16)), 2)


class Made:
    """Folders of nnU-Net with a source of two channels and a coarse model of two folds."""

    def __init__(self, root):
        self.root = root
        self.raw, self.results = root / "nnUNet_raw", root / "nnUNet_results"
        self.source, self.target = self.raw / SOURCE, self.raw / TARGET
        self.placed = root / "nnUNet_preprocessed" / TARGET / "splits_final.json"
        declared = {
            "channel_names": {"0": "CT", "1": "CT"},
            "labels": LABELS,
            "numTraining": 2,
            "file_ending": ".nii.gz",
        }
        write_json(self.source / "dataset.json", declared)
        write_json(self.source / "split.json", {"patients": {"a": "one", "b": "two"}})
        write_json(root / "nnUNet_preprocessed" / SOURCE / "splits_final.json", FOLDS)
        write_json(self.results / MODEL / "dataset.json", declared)
        generator = np.random.default_rng(0)
        for subset, cases in (("Tr", "ab"), ("Ts", "c")):
            for case in cases:
                for channel in (0, 1):
                    voxels = generator.integers(-1000, 1000, SIZE).astype(np.int16)
                    write(self.source / f"images{subset}" / f"{case}_000{channel}.nii.gz", voxels)
                write(self.source / f"labels{subset}" / f"{case}.nii.gz", marked(ORGAN, LESION))
        self.predict("a", fold=0, voxels=marked(ORGAN))
        self.predict("b", fold=1, voxels=marked(ORGAN, LESION))
        self.test = root / "test"
        write(self.test / "c.nii.gz", marked(ORGAN))

    def validation(self, fold):
        return self.results / MODEL / f"fold_{fold}" / "validation"

    def predict(self, case, *, fold, voxels, **options):
        write(self.validation(fold) / f"{case}.nii.gz", voxels, **options)

    def step(self, **changes):
        folds = tuple(f"$nnUNet_results/{MODEL}/fold_{fold}/validation" for fold in (0, 1))
        step = Crop(
            name="crop",
            source=SOURCE,
            dataset=TARGET,
            labels=("pancreas", "cancer"),
            train_predictions=folds,
            test_predictions="test",
            margin_mm=(4.0, 4.0, 2.0),
        )
        return replace(step, **changes)

    def cut(self, name):
        return sitk.ReadImage(str(self.target / name))


@pytest.fixture
def made(tmp_path, monkeypatch):
    for name in DUTIES:
        monkeypatch.setenv(name, str(tmp_path / name))
    return Made(tmp_path)


# the organ grown by one slice, two rows and two columns
BOX = [[1, 6], [2, 10], [4, 12]]


def test_every_case_is_cut_to_the_box_and_stays_where_it_was(made):
    report = crop_dataset(made.step(), made.root)
    assert {case: cut["box"] for case, cut in report["cases"].items()} == dict.fromkeys("abc", BOX)
    for name in ("imagesTr/a_0000", "imagesTr/b_0001", "labelsTr/b", "imagesTs/c_0001", "labelsTs/c"):
        whole = sitk.ReadImage(str(made.source / f"{name}.nii.gz"))
        expected = sitk.RegionOfInterest(whole, (8, 8, 5), (4, 2, 1))
        found = made.cut(f"{name}.nii.gz")
        assert (sitk.GetArrayFromImage(found) == sitk.GetArrayFromImage(expected)).all()
        assert found.GetPixelID() == whole.GetPixelID()
        for geometry in ("GetOrigin", "GetSpacing", "GetDirection"):
            assert getattr(found, geometry)() == pytest.approx(getattr(expected, geometry)())


def test_the_dataset_declares_itself_and_takes_over_patients_and_folds(made):
    crop_dataset(made.step(), made.root)
    declared = json.loads((made.target / "dataset.json").read_text(encoding="utf-8"))
    assert (declared["name"], declared["numTraining"], declared["labels"]) == (TARGET, 2, LABELS)
    split = json.loads((made.target / "split.json").read_text(encoding="utf-8"))
    assert split == {"patients": {"a": "one", "b": "two"}, "folds": FOLDS}
    assert json.loads(made.placed.read_text(encoding="utf-8")) == FOLDS


def test_a_label_map_is_restored_from_the_report(made):
    crop_dataset(made.step(), made.root)
    report = json.loads((made.target / "crop_report.json").read_text(encoding="utf-8"))
    case = report["cases"]["a"]
    part = sitk.GetArrayFromImage(made.cut("labelsTr/a.nii.gz"))
    whole = restore_box(part, tuple(slice(*side) for side in case["box"]), size=case["size"])
    assert (whole == marked(ORGAN, LESION)).all()


def test_only_the_named_labels_are_the_region(made):
    report = crop_dataset(made.step(labels=("cancer",), margin_mm=(0.0, 0.0, 0.0)), made.root)
    assert report["cases"]["b"]["box"] == [[3, 4], [5, 6], [7, 8]]


def test_an_empty_prediction_keeps_the_whole_image_and_is_remarked_on(made):
    made.predict("a", fold=0, voxels=marked())
    step = made.step()
    report = crop_dataset(step, made.root)
    assert report["cases"]["a"]["box"] == [[0, 8], [0, 12], [0, 16]]
    assert step.remarks(made.root) == ["nothing predicted, not cropped: a"]


def test_labels_that_the_box_cuts_off_are_remarked_on(made):
    write(made.source / "labelsTr" / "b.nii.gz", marked(ORGAN, FAR))
    step = made.step()
    crop_dataset(step, made.root)
    assert step.remarks(made.root) == ["labelled voxels outside the box: b (1 voxel)"]


def test_without_test_predictions_there_are_no_test_cases(made):
    step = made.step(test_predictions="")
    crop_dataset(step, made.root)
    assert not (made.target / "imagesTs").exists()
    assert step.remarks(made.root) == [
        f"without test_predictions, the test cases of {SOURCE} are left out: 1"
    ]


def test_only_the_labels_to_keep_stay(made):
    crop_dataset(made.step(keep=("cancer",)), made.root)
    declared = json.loads((made.target / "dataset.json").read_text(encoding="utf-8"))
    assert declared["labels"] == {"background": 0, "cancer": 1}
    kept = sitk.GetArrayFromImage(made.cut("labelsTr/b.nii.gz"))
    assert (kept == (marked(ORGAN, LESION)[1:6, 2:10, 4:12] == 2)).all()


@pytest.mark.parametrize("ending", [".nrrd", ".tif"])
def test_other_formats_stay_what_they_are(made, ending):
    for path in (*made.source.rglob("*.nii.gz"), *made.results.rglob("*.nii.gz"), made.test / "c.nii.gz"):
        target = path.with_name(path.name.replace(".nii.gz", ending))
        sitk.WriteImage(sitk.ReadImage(str(path)), str(target))
        path.unlink()
        if ending == ".tif" and made.source in path.parents:
            case = path.name.split(".")[0].split("_")[0]
            write_json(path.with_name(f"{case}.json"), {"spacing": [4.0, 2.0, 1.0]})
    for file in (made.source / "dataset.json", made.results / MODEL / "dataset.json"):
        declared = json.loads(file.read_text(encoding="utf-8"))
        write_json(file, {**declared, "file_ending": ending})
    report = crop_dataset(made.step(), made.root)
    assert report["cases"]["a"]["box"] == BOX
    whole = sitk.GetArrayFromImage(sitk.ReadImage(str(made.source / "imagesTr" / f"a_0001{ending}")))
    assert (sitk.GetArrayFromImage(made.cut(f"imagesTr/a_0001{ending}")) == whole[1:6, 2:10, 4:12]).all()
    assert (made.target / "labelsTr" / "a.json").is_file() == (ending == ".tif")


def no_splits(made):
    (made.root / "nnUNet_preprocessed" / SOURCE / "splits_final.json").unlink()


def other_splits(made):
    write_json(made.root / "nnUNet_preprocessed" / SOURCE / "splits_final.json", FOLDS[::-1])


def no_prediction(made):
    (made.validation(1) / "b.nii.gz").unlink()


def no_test_prediction(made):
    (made.test / "c.nii.gz").unlink()


def shifted_prediction(made):
    made.predict("a", fold=0, voxels=marked(ORGAN), shift=5.0)


def nothing(made):
    """Leave all as it is."""


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (
            no_splits,
            {},
            "Which cases the folds of .* were trained on is not known: there is no .*splits_final",
        ),
        (
            other_splits,
            {},
            r"There is no prediction of 2 training cases by a fold of .* not trained on the case, a first "
            r"\(only .*fold_0/validation/a.nii.gz, by a fold trained on it\)",
        ),
        (no_prediction, {}, r"There is no prediction of 1 training case .*, b first \(none\)"),
        (no_test_prediction, {}, "test has no prediction of 1 test case, c first. Predict them all."),
        (shifted_prediction, {}, "fold_0/validation/a.nii.gz and .*labelsTr/a.nii.gz: voxels of equal index"),
        (
            nothing,
            {"labels": ("liver",)},
            "labels of crop: liver; the model that predicts has background, panc",
        ),
        (nothing, {"labels": ()}, "labels of crop: none given"),
        (
            nothing,
            {"keep": ("liver",)},
            f"keep of crop: liver is not a single-value label of {SOURCE}. Choose",
        ),
        (nothing, {"train_predictions": ()}, "must be of one model, not none. Name its folds."),
        (nothing, {"train_predictions": ("test",)}, "test is no validation folder. Give those that nnUNetv2"),
        (
            nothing,
            {"train_predictions": (f"$nnUNet_results/{MODEL}/fold_4/validation",)},
            "There is no .*fold_4/validation. Train and validate this fold first.",
        ),
    ],
)
def test_what_would_be_wrong_is_refused_and_nothing_is_written(made, change, options, message):
    change(made)
    with pytest.raises(PancextError, match=message):
        crop_dataset(made.step(**options), made.root)
    assert sorted(path.name for path in made.raw.iterdir()) == [SOURCE]


def test_fold_all_is_refused(made):
    (made.validation(0).parent).rename(made.validation("all").parent)
    with pytest.raises(PancextError, match=r"is of fold all, and .* has the folds 0 to 1"):
        crop_dataset(made.step(train_predictions=(str(made.validation("all")),)), made.root)


def test_the_step_is_done_when_its_dataset_is_whole_and_newer_than_the_predictions(made):
    step = made.step()
    assert not step.is_done(made.root)
    crop_dataset(step, made.root)
    assert step.is_done(made.root)
    made.placed.rename(made.placed.with_name("elsewhere.json"))
    assert not step.is_done(made.root)
    made.placed.with_name("elsewhere.json").rename(made.placed)
    later = (made.target / "crop_report.json").stat().st_mtime + 10
    os.utime(made.validation(0) / "a.nii.gz", (later, later))
    assert not step.is_done(made.root)


def test_a_dataset_of_another_origin_is_not_replaced(made):
    step = made.step()
    made.target.mkdir()
    with pytest.raises(PancextError, match=r"exists, but was not made by this step\. Move that dataset away"):
        step.is_done(made.root)
    made.target.rmdir()
    crop_dataset(step, made.root)
    with pytest.raises(PancextError, match="was cut with other options than those of crop"):
        made.step(margin_mm=(1.0, 1.0, 1.0)).is_done(made.root)
    (made.target / "crop_report.json").write_text("{}", encoding="utf-8")
    with pytest.raises(PancextError, match="is not a report of this step"):
        step.is_done(made.root)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("Crop", "dataset is 'Crop'; a new dataset's name is like Dataset007_Pancreas"),
        ("Dataset007_Crop", f"The number of Dataset007_Crop is taken by {SOURCE}"),
    ],
)
def test_a_number_that_is_not_free_is_refused(made, dataset, message):
    with pytest.raises(PancextError, match=message):
        made.step(dataset=dataset).prepare(made.root)


def test_the_command_is_a_worker_that_reads_the_step_from_the_campaign(made):
    step = made.step()
    folders = {name: str(made.root / name) for name in DUTIES}
    write_campaign(made.root, Campaign(device="cpu", seed=None, folders=folders, versions={}, steps=(step,)))
    words = step.command(made.root)
    assert words[1:] == ["-m", "nnunet_pancext.campaign.workers.crop", str(made.root), "crop"]
    crop_worker.main(*words[3:])
    assert step.is_done(made.root)
