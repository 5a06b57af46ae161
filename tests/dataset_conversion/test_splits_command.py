"""`pancext splits`: folds are written where nnU-Net reads them, and leakage is detected."""

import json
import re
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_msd_task import write_volume

from nnunet_pancext.cli.main import main
from nnunet_pancext.errors import PancextError
from nnunet_pancext.nnunet_files.splits_final import place_folds
from nnunet_pancext.splits.published import PUBLISHED


@pytest.fixture
def folders(tmp_path, monkeypatch):
    for name in ("raw", "preprocessed"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(f"nnUNet_{name}", str(tmp_path / name))
    return tmp_path


@pytest.fixture
def dataset(folders):
    """Six training and two test cases of eight patients."""
    return make(folders, [f"pancreas_{number:03d}" for number in range(1, 9)], test=2)


def make(folders, cases, *, test=0):
    folder = folders / "raw" / "Dataset005_Made"
    for index, case in enumerate(cases):
        part = folder / ("imagesTs" if index >= len(cases) - test else "imagesTr")
        part.mkdir(parents=True, exist_ok=True)
        voxels = np.random.default_rng(index).integers(0, 99, (3, 4, 5)).astype(np.int16)
        write_volume(part / f"{case}_0000.nii.gz", voxels)
    (folder / "dataset.json").write_text(json.dumps({"file_ending": ".nii.gz"}), encoding="utf-8")
    return folder


def write_folds(folders, *folds):
    target = folders / "preprocessed" / "Dataset005_Made" / "splits_final.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps([{"train": train, "val": val} for train, val in folds]), encoding="utf-8")
    return target


def test_published_lists_are_those_of_their_sources(shared_data):
    published = json.loads(
        (shared_data / "layout_refs" / "published_splits.json").read_text(encoding="utf-8")
    )
    keys = {
        "transunet-18/12": "synapse_transunet_18_12",
        "monai-24/6": "btcv_monai_24_6_20",
        "ssl4mis-70/10/20": "acdc_ssl4mis_70_10_20",
        "nnformer-70/10/20": "acdc_nnformer_70_10_20",
        "mcnet-62/20": "nih_mcnet_62_20",
    }
    assert set(PUBLISHED) == {*keys, "organsegrstn-4fold", "nnunet-5fold"}
    for name, key in keys.items():
        for part in ("train", "val", "test"):
            assert sorted(getattr(PUBLISHED[name], part)) == sorted(published[key].get(part, [])), (
                name,
                part,
            )
    ranges = published["nih_organsegrstn_4fold_test_ranges"]
    folds = PUBLISHED["organsegrstn-4fold"].folds
    assert [[int(fold[0]), int(fold[-1])] for fold in folds] == [ranges[str(number)] for number in range(4)]
    msd = json.loads((shared_data / "layout_refs" / "msd_task07_cases.json").read_text(encoding="utf-8"))
    validated = msd["nnunet_default_val_folds"]
    folds = PUBLISHED["nnunet-5fold"].folds
    assert [sorted(fold) for fold in folds] == [sorted(validated[str(number)]) for number in range(5)]
    assert PUBLISHED["nnunet-5fold"].patients == set(msd["training_ids"])
    for split in PUBLISHED.values():
        assert not set(split.train) & set(split.val)
        assert not {*split.train, *split.val} & set(split.test)


def test_the_list_names_each_with_its_source(capsys):
    assert main(["splits", "list"]) == 0
    printed = capsys.readouterr().out
    for split in PUBLISHED.values():
        assert split.name in printed
        assert split.source in printed
    assert "4 folds of 20, 20, 21, 21" in printed
    assert "70 train, 10 val, 20 test" in printed


@pytest.mark.parametrize("name", ["5", "005", "Dataset005_Made", "folder"])
def test_a_dataset_without_leakage(dataset, capsys, name):
    assert main(["splits", "check", str(dataset) if name == "folder" else name]) == 0
    printed = capsys.readouterr().out
    assert "6 training and 2 test cases of 8 patients, 5 folds" in printed
    assert "no patient or image is on both sides" in printed


def test_the_same_image_under_two_names_is_leakage(dataset, folders, capsys):
    images = dataset / "imagesTr"
    shutil.copy(images / "pancreas_001_0000.nii.gz", images / "pancreas_002_0000.nii.gz")
    shutil.copy(images / "pancreas_001_0000.nii.gz", dataset / "imagesTs" / "pancreas_008_0000.nii.gz")
    write_folds(folders, (["pancreas_001", "pancreas_003"], ["pancreas_002", "pancreas_004"]))
    assert main(["splits", "check", "5"]) == 1
    printed = capsys.readouterr().err
    assert "fold 0, train and val: pancreas_001 and pancreas_002 have the same voxels" in printed
    assert "training and test: pancreas_001 and pancreas_008 have the same voxels" in printed
    assert printed.count("leak ") == 3


def test_a_patient_on_both_sides_is_leakage(folders, capsys):
    make(folders, ["patient001_frame01", "patient001_frame12", "patient002_frame01", "patient002_frame09"])
    write_folds(
        folders, (["patient001_frame01", "patient002_frame01", "patient002_frame09"], ["patient001_frame12"])
    )
    assert main(["splits", "check", "5"]) == 1
    assert "patient patient001 is in both, with patient001_frame12" in capsys.readouterr().err


def test_the_patient_from_a_regular_expression(folders, capsys):
    make(folders, ["p1-a", "p1-b", "p2-a", "p2-b"])
    write_folds(folders, (["p1-a", "p2-a"], ["p1-b", "p2-b"]))
    assert main(["splits", "check", "5"]) == 0
    assert main(["splits", "check", "5", "--patient-regex", r"(p\d)-"]) == 1
    assert "patient p2 is in both" in capsys.readouterr().err


def test_a_fold_of_missing_cases(dataset, folders, capsys):
    write_folds(folders, (["pancreas_001", "pancreas_077"], ["pancreas_002"]))
    assert main(["splits", "check", "5"]) == 1
    assert "fold 0: pancreas_077 is not among the training cases" in capsys.readouterr().err


def test_a_published_split_is_put_in_place(folders, capsys):
    folder = make(folders, [f"PANCREAS_{number:04d}" for number in range(1, 83)])
    patients = {f"PANCREAS_{number:04d}": f"{number:04d}" for number in range(1, 83)}
    (folder / "split.json").write_text(json.dumps({"patients": patients}), encoding="utf-8")
    assert main(["splits", "apply", "5", "--split", "organsegrstn-4fold"]) == 0
    target = folders / "preprocessed" / "Dataset005_Made" / "splits_final.json"
    folds = json.loads(target.read_text(encoding="utf-8"))
    assert [len(fold["val"]) for fold in folds] == [20, 20, 21, 21]
    assert folds[2]["val"][0] == "PANCREAS_0041"
    for fold in folds:
        assert len({*fold["train"], *fold["val"]}) == 82
    assert main(["splits", "apply", "5", "--split", "mcnet-62/20"]) == 1
    assert "holds other folds. Replace them with --overwrite" in capsys.readouterr().err
    assert json.loads(target.read_text(encoding="utf-8")) == folds
    assert main(["splits", "apply", "5", "--split", "mcnet-62/20", "--overwrite"]) == 0
    assert "kept as splits_final_replaced_1.json" in capsys.readouterr().err
    (fold,) = json.loads(target.read_text(encoding="utf-8"))
    assert (len(fold["train"]), len(fold["val"])) == (62, 20)
    assert json.loads(target.with_name("splits_final_replaced_1.json").read_text(encoding="utf-8")) == folds


def test_missing_patients_are_named(folders, capsys):
    cases = [f"PANCREAS_{number:04d}" for number in range(1, 83) if number not in (25, 70, 71)]
    folder = make(folders, cases)
    (folder / "split.json").write_text(
        json.dumps({"patients": {case: case[-4:] for case in cases}}), encoding="utf-8"
    )
    assert main(["splits", "apply", "5", "--split", "mcnet-62/20"]) == 0
    printed = capsys.readouterr().err
    assert "the list of mcnet-62/20 is incomplete: train lacks 0070, 0071; test lacks 0025" in printed


def test_no_folds_are_lost(folders):
    target = folders / "preprocessed" / "Dataset005_Made" / "splits_final.json"
    target.parent.mkdir()
    (target.parent / ".partial-77-splits_final.json").write_text("of a killed run", encoding="utf-8")
    several = [[{"train": ["a"], "val": [name]}] for name in "bcdbb"]
    for folds in several:
        assert place_folds(folds, dataset="Dataset005_Made") == target
        assert json.loads(target.read_text(encoding="utf-8")) == folds
    kept = {
        path.name: json.loads(path.read_text(encoding="utf-8"))
        for path in target.parent.iterdir()
        if path != target
    }
    assert kept == {f"splits_final_replaced_{number}.json": several[number - 1] for number in (1, 2, 3)}


def test_folds_that_are_not_json_are_kept_too(folders):
    target = folders / "preprocessed" / "Dataset005_Made" / "splits_final.json"
    target.parent.mkdir()
    target.write_text("[{cut", encoding="utf-8")
    place_folds([{"train": ["a"], "val": ["b"]}], dataset="Dataset005_Made")
    assert target.with_name("splits_final_replaced_1.json").read_text(encoding="utf-8") == "[{cut"


def test_without_a_name_the_folds_of_the_conversion_are_put_in_place(dataset, folders):
    folds = [{"train": ["pancreas_001"], "val": ["pancreas_002"]}]
    (dataset / "split.json").write_text(json.dumps({"folds": folds}), encoding="utf-8")
    assert main(["splits", "apply", "5"]) == 0
    target = folders / "preprocessed" / "Dataset005_Made" / "splits_final.json"
    assert json.loads(target.read_text(encoding="utf-8")) == folds


def test_an_unreadable_image_is_not_passed(dataset, capsys):
    path = dataset / "imagesTr" / "pancreas_003_0000.nii.gz"
    path.write_bytes(path.read_bytes()[:-30])
    assert main(["splits", "check", "5"]) == 1
    printed = capsys.readouterr()
    assert "imagesTr/pancreas_003_0000.nii.gz is cut short" in printed.err
    assert "1 image cannot be read: leakage unknown" in printed.err
    assert "on both sides" not in printed.out


@pytest.mark.parametrize("ending", [".nii", ".nrrd", ".mha", ".tif"])
def test_identical_images_are_detected_in_every_format(folders, capsys, ending):
    folder = folders / "raw" / "Dataset005_Made"
    for index in range(6):
        part = folder / ("imagesTs" if index == 5 else "imagesTr")
        part.mkdir(parents=True, exist_ok=True)
        voxels = np.random.default_rng(index % 5).integers(0, 99, (3, 4, 5)).astype(np.int16)
        # The last is a copy of the first in another number type.
        image = sitk.GetImageFromArray(voxels.astype(np.float32 if index == 5 else np.int16))
        sitk.WriteImage(image, str(part / f"case_{index}_0000{ending}"))
    (folder / "dataset.json").write_text(json.dumps({"file_ending": ending}), encoding="utf-8")
    assert main(["splits", "check", "5"]) == 1
    printed = capsys.readouterr().err
    assert "training and test: case_0 and case_5 have the same voxels" in printed
    assert printed.count("leak ") == 1


def test_constant_images_are_not_duplicates(dataset, capsys):
    for number in (1, 2):
        write_volume(
            dataset / "imagesTr" / f"pancreas_{number:03d}_0000.nii.gz", np.zeros((3, 4, 5), np.int16)
        )
    assert main(["splits", "check", "5"]) == 0
    assert "no patient or image is on both sides" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("pair", "leaks"),
    [
        ([(3, 7, 7), (3, 7, 7)], 0),  # constant
        ([(0, 1, 2), (0, 1, 3)], 0),
        ([(0, 1, 2), (0, 1, 2)], 1),
    ],
    ids=["constant", "one colour alike", "alike"],
)
def test_all_colours_of_a_picture_are_compared(folders, capsys, pair, leaks):
    """A number is that of a colour's pixels; 3 and above are constant."""
    folder = folders / "raw" / "Dataset005_Made"
    for index, colours in enumerate([*pair, (2, 1, 0), (1, 2, 0), (2, 0, 1)]):
        part = folder / ("imagesTr" if index else "imagesTs")
        part.mkdir(parents=True, exist_ok=True)
        pixels = [
            np.random.default_rng(colour).integers(0, 99, (4, 5)) if colour < 3 else np.full((4, 5), colour)
            for colour in colours
        ]
        picture = sitk.GetImageFromArray(np.stack(pixels, axis=-1).astype(np.uint8), isVector=True)
        sitk.WriteImage(picture, str(part / f"case_{index}_0000.png"))
    (folder / "dataset.json").write_text(json.dumps({"file_ending": ".png"}), encoding="utf-8")
    assert main(["splits", "check", "5"]) == leaks
    assert capsys.readouterr().err.count("case_1 and case_0 have the same voxels") == leaks


@pytest.mark.parametrize("name", [".", "../Dataset005_Made", "../Dataset005_Made/imagesTr/.."])
def test_folds_are_those_of_the_folders_own_name(dataset, folders, monkeypatch, capsys, name):
    (dataset / "split.json").write_text(
        json.dumps({"folds": [{"train": ["pancreas_001"], "val": ["pancreas_001"]}]}), encoding="utf-8"
    )
    monkeypatch.chdir(dataset)
    assert main(["splits", "apply", name]) == 0
    assert (folders / "preprocessed" / "Dataset005_Made" / "splits_final.json").is_file()
    assert main(["splits", "check", name]) == 1
    assert "patient pancreas_001 is in both" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("dataset.json", "[]", r"dataset.json is not an object, \{…\}, but \[\]. Correct"),
        ("dataset.json", '{"file_ending": null}', "has the file_ending null; expected one like .nii.gz"),
        ("split.json", "[]", "split.json is not an object"),
        ("split.json", '{"patients": ["a"]}', '"patients" in .*split.json must map cases to names'),
        ("splits_final.json", "null", r"splits_final.json is not a list, \[…\], but null"),
        ("splits_final.json", "{}", "splits_final.json is not a list"),
        ("splits_final.json", "[]", "splits_final.json holds no folds; expected is a list like"),
        ("splits_final.json", '[{"train": ["a"]}]', 'fold 0 in .* has no list of cases "val"'),
        ("splits_final.json", '[{"train": 3, "val": []}]', 'fold 0 in .* has no list of cases "train"'),
        ("splits_final.json", "[[]]", 'fold 0 in .* has no list of cases "train"'),
    ],
)
def test_malformed_json_is_refused(dataset, folders, capsys, file, content, message):
    target = write_folds(folders) if file == "splits_final.json" else dataset / file
    target.write_text(content, encoding="utf-8")
    assert main(["splits", "check", "5"]) == 1
    assert re.search(message, capsys.readouterr().err)


def test_malformed_folds_are_not_applied(dataset, capsys):
    (dataset / "split.json").write_text('{"folds": [{"train": []}]}', encoding="utf-8")
    assert main(["splits", "apply", "5"]) == 1
    assert 'split.json has no list of cases "val"' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["check", "6"], "no dataset '6' in .*there are: Dataset005_Made"),
        (["check", "nowhere"], "no dataset 'nowhere'"),
        (["check", ""], "no dataset ''"),
        (["check", "²"], "no dataset '²'"),
        (["check", "Dataset005_*"], "no dataset 'Dataset005_"),
        (["check", "/no/where"], "/no/where does not exist. Give the number, the name or the folder"),
        (["check", "/"], "no dataset '/'"),
        (["check", ".."], "holds no dataset.json"),
        (["check", "5", "--jobs", "0"], "--jobs must be at least 1, got 0"),
        (["apply", "5"], "has no folds. Name a split with --split"),
        (["apply", "5", "--split", "mine"], "no split 'mine'. There are: nnunet-5fold, transunet-18/12"),
        (["apply", "5", "--split", "transunet-18/12"], "is for synapse, with patients like 0001"),
        (["check", "5", "--patient-regex", "(p"], "is not a regular expression"),
        (["check", "5", "--patient-regex", "(x)"], "finds no patient in the case 'pancreas_001'"),
        (["check", "5", "--patient-regex", "pan"], "finds no patient in the case 'pancreas_001'"),
    ],
)
def test_mistakes_are_refused(dataset, capsys, words, message):
    assert main(["splits", *words]) == 1
    assert re.search(message, capsys.readouterr().err)


def test_a_dataset_without_images_is_refused(dataset):
    from nnunet_pancext.nnunet_files.raw_dataset import read_dataset

    shutil.rmtree(dataset / "imagesTr")
    with pytest.raises(PancextError, match="Is this an nnU-Net raw dataset"):
        read_dataset(dataset)


def test_a_dataset_without_first_channels_is_refused(dataset, capsys):
    for path in (dataset / "imagesTr").iterdir():
        path.rename(path.with_name(path.name.replace("_0000", "_0001")))
    assert main(["splits", "check", str(dataset)]) == 1
    message = f"No training case of {dataset} has its first channel, *_0000.nii.gz. Add it."
    assert message in capsys.readouterr().err


def test_without_a_place_for_folds(dataset, monkeypatch, capsys):
    monkeypatch.delenv("nnUNet_preprocessed")
    assert main(["splits", "apply", "5", "--split", "mcnet-62/20"]) == 1
    assert "nnUNet_preprocessed is not set" in capsys.readouterr().err
