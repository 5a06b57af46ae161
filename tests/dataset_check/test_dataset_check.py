"""`pancext check` finds faults of a dataset by case and reports the worst case first."""

import json
import re
import shutil
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_pancext.cli.main import main
from nnunet_pancext.dataset_check import check_dataset
from nnunet_pancext.dataset_check.check import inspect_dataset
from nnunet_pancext.dataset_conversion.layouts.msd import convert_msd
from nnunet_pancext.errors import PancextError
from nnunet_pancext.phantom import write_phantom_dataset

pytestmark = pytest.mark.usefixtures("coarse_figures")


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    root = tmp_path_factory.mktemp("sound")
    source = write_phantom_dataset(root / "source", cases=6, size=(16, 48, 48), seed=2, show_progress=False)
    return convert_msd(source, raw_root=root / "raw", labels="pancreas", show_progress=False).folder


@pytest.fixture
def dataset(sound, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(sound, tmp_path / "raw" / sound.name)


def inspect(dataset):
    """Measure and judge without a report, because each figure takes half a second."""
    return inspect_dataset(dataset, show_progress=False)


def check(dataset, tmp_path, *, figures=1):
    """Check with a report that has figures of the worst cases only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nnunet_pancext.dataset_check.check.MOST_PICTURES", figures)
        return check_dataset(dataset, out=tmp_path / "check", show_progress=False)


def change(path, edit, **geometry):
    """Write a file anew with `edit` applied to its array."""
    image = sitk.ReadImage(str(path))
    result = sitk.GetImageFromArray(edit(sitk.GetArrayFromImage(image)))
    result.CopyInformation(image)
    for name, value in geometry.items():
        getattr(result, f"Set{name}")(value)
    path.unlink()
    sitk.WriteImage(result, str(path))


def case_of(dataset, number):
    return sorted(path.name.removesuffix(".nii.gz") for path in (dataset / "labelsTr").iterdir())[number]


def image_of(dataset, number):
    return dataset / "imagesTr" / f"{case_of(dataset, number)}_0000.nii.gz"


def label_of(dataset, number):
    return dataset / "labelsTr" / f"{case_of(dataset, number)}.nii.gz"


def test_a_sound_dataset_has_no_finding(sound):
    result = inspect(sound)
    assert not any(result.findings.values())
    assert result.is_sound
    assert len(result.measures) == 6
    for measure in result.measures.values():
        image = sitk.ReadImage(str(sound / "imagesTr" / f"{measure.case_id}_0000.nii.gz"))
        label = sitk.GetArrayFromImage(sitk.ReadImage(str(sound / "labelsTr" / f"{measure.case_id}.nii.gz")))
        assert measure.size == image.GetSize()
        assert measure.labels["pancreas"].voxels == label.sum()
        voxel_ml = np.prod(image.GetSpacing()) / 1000
        assert measure.labels["pancreas"].volume_ml == pytest.approx(label.sum() * voxel_ml)
        assert measure.labels["pancreas"].mean == pytest.approx(
            sitk.GetArrayFromImage(image)[label > 0].mean()
        )


def test_the_report_shows_every_case_and_needs_no_network(sound, tmp_path):
    result = check(sound, tmp_path, figures=6)
    page = result.report.read_text(encoding="utf-8")
    assert page.count("data:image/png;base64") == 6
    assert "No problem was found." in page
    assert "://" not in page
    document = json.loads((tmp_path / "check" / "report.json").read_text(encoding="utf-8"))
    assert len(document["cases"]) == 6
    assert document["cases"][0]["labels"]["pancreas"]["volume_ml"] > 1
    assert len(list((tmp_path / "check" / "pictures").glob("*.png"))) == 6


def flip(dataset):
    change(label_of(dataset, 2), lambda array: array[:, ::-1].copy())


def empty(dataset):
    change(label_of(dataset, 2), lambda array: 0 * array)


def tiny(dataset):
    def few(array):
        kept = np.zeros_like(array)
        kept[tuple(np.argwhere(array)[:3].T)] = 1
        return kept

    change(label_of(dataset, 2), few)


def without_intercept(dataset):
    change(image_of(dataset, 2), lambda array: array + 1024)


def scaled_twice(dataset):
    change(image_of(dataset, 2), lambda array: 40 * array.astype(np.int32))


def far_apart(dataset):
    for path in (image_of(dataset, 2), label_of(dataset, 2)):
        spacing = sitk.ReadImage(str(path)).GetSpacing()
        change(path, np.copy, Spacing=(spacing[0], spacing[1], 9 * spacing[2]))


def other_value(dataset):
    change(label_of(dataset, 2), lambda array: 3 * array)


def twin(dataset):
    shutil.copy(image_of(dataset, 1), image_of(dataset, 2))
    shutil.copy(label_of(dataset, 1), label_of(dataset, 2))


def moved(dataset):
    change(label_of(dataset, 2), np.copy, Origin=(0.0, 0.0, 0.0))


def cut(dataset):
    path = image_of(dataset, 2)
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:-50])


def in_the_air(dataset):
    def shifted(array):
        kept = np.zeros_like(array)
        kept[:, :4, :4] = 1
        return kept

    change(label_of(dataset, 2), shifted)


@pytest.mark.parametrize(
    ("damage", "level", "kind"),
    [
        (flip, "error", "label turned"),
        (empty, "error", "label empty"),
        (tiny, "warning", "tiny foreground"),
        (without_intercept, "warning", "implausible HU"),
        (scaled_twice, "warning", "implausible HU"),
        (far_apart, "warning", "spacing outlier"),
        (other_value, "error", "label value not declared"),
        (twin, "error", "duplicate image"),
        (moved, "error", "origin differs"),
        (cut, "error", "image unreadable"),
        (in_the_air, "warning", "mean HU outlier"),
    ],
)
def test_a_fault_is_found_and_its_case_comes_first(dataset, damage, level, kind):
    bad = case_of(dataset, 2)
    damage(dataset)
    result = inspect(dataset)
    assert next(iter(result.findings)) == bad
    assert (level, kind) in [(finding.level, finding.kind) for finding in result.findings[bad]]
    assert [case for case, findings in result.findings.items() if findings] == [bad]
    assert result.is_sound == all(finding.level == "warning" for finding in result.findings[bad])


def test_the_report_names_each_fault_and_shows_the_worst_case_first(dataset, tmp_path):
    without_air, without_label = case_of(dataset, 2), case_of(dataset, 4)
    without_intercept(dataset)
    label_of(dataset, 4).unlink()
    result = check(dataset, tmp_path, figures=3)
    assert list(result.findings)[:2] == [without_label, without_air]
    page = result.report.read_text(encoding="utf-8")
    assert "label missing" in page
    assert "implausible HU" in page
    order = [page.index(f"<b>{case}</b>") for case in list(result.findings)[:3]]
    assert order == sorted(order)


def fraction(dataset):
    change(label_of(dataset, 2), lambda array: 0.5 * array)


def without_label(dataset):
    label_of(dataset, 2).unlink()


def of_another_size(dataset):
    change_size(label_of(dataset, 2))


def change_size(path):
    array = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[:-1]
    path.unlink()
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))


@pytest.mark.parametrize(
    ("damage", "has_contours"),
    [
        (moved, True),
        (other_value, False),
        (fraction, False),
        (without_label, False),
        (of_another_size, False),
    ],
)
def test_the_worst_case_is_drawn_too(dataset, tmp_path, damage, has_contours):
    bad = case_of(dataset, 2)
    damage(dataset)
    result = check(dataset, tmp_path)
    assert next(iter(result.findings)) == bad
    picture = (matplotlib.image.imread(tmp_path / "check" / "pictures" / f"{bad}.png")[..., :3] * 255).round()
    panels = picture[: int(0.9 * len(picture))]  # without the legend
    red = (np.abs(panels - (255, 59, 59)) < 30).all(axis=-1)
    assert red.any() == has_contours


def test_an_id_in_training_and_test_is_reported_and_hides_nothing(dataset, tmp_path):
    twice = case_of(dataset, 2)
    for part in ("images", "labels"):
        (dataset / f"{part}Ts").mkdir(exist_ok=True)
    image = shutil.copy(image_of(dataset, 2), dataset / "imagesTs")
    shutil.copy(label_of(dataset, 2), dataset / "labelsTs")
    empty(dataset)
    result = check(dataset, tmp_path, figures=2)
    kinds = {
        case: sorted(finding.kind for finding in several)
        for case, several in result.findings.items()
        if several
    }
    assert kinds == {
        twice: ["label empty"],
        f"imagesTs/{twice}": ["duplicate image", "id in training and test"],
    }
    assert len(result.measures) == 7
    assert (tmp_path / "check" / "pictures" / "imagesTs" / f"{twice}.png").is_file()
    change(Path(image), lambda array: array + 1)
    again = inspect(dataset)
    assert [finding.kind for finding in again.findings[f"imagesTs/{twice}"]] == ["id in training and test"]


@pytest.mark.parametrize("ending", [".nii", ".nrrd", ".mha"])
def test_other_formats_are_checked_as_well(dataset, tmp_path, ending):
    for part in ("imagesTr", "labelsTr"):
        for path in list((dataset / part).iterdir()):
            image = sitk.ReadImage(str(path))
            path.unlink()
            sitk.WriteImage(image, str(path).replace(".nii.gz", ending))
    declared = json.loads((dataset / "dataset.json").read_text(encoding="utf-8"))
    (dataset / "dataset.json").unlink()
    (dataset / "dataset.json").write_text(json.dumps({**declared, "file_ending": ending}), encoding="utf-8")
    result = check(dataset, tmp_path)
    assert not any(result.findings.values())
    assert len(list((tmp_path / "check" / "pictures").iterdir())) == 1
    bad = sorted((dataset / "imagesTr").iterdir())[2]
    bad.write_bytes(bad.read_bytes()[:-500])
    assert [finding.kind for finding in next(iter(inspect(dataset).findings.values()))] == [
        "image unreadable"
    ]


def test_a_missing_label(dataset):
    bad = case_of(dataset, 2)
    label_of(dataset, 2).unlink()
    result = inspect(dataset)
    assert [finding.kind for finding in result.findings[bad]] == ["label missing"]


def test_regions_and_images_other_than_ct(dataset):
    path = dataset / "dataset.json"
    declared = json.loads(path.read_text(encoding="utf-8"))
    path.unlink()
    declared |= {"labels": {"background": 0, "organ": [1, 2], "tumour": [2], "ignore": 3}}
    declared["channel_names"] = {"0": "MR"}
    path.write_text(json.dumps(declared), encoding="utf-8")
    without_intercept(dataset)
    result = inspect(dataset)
    assert not any(result.findings.values())
    assert set(next(iter(result.measures.values())).labels) == {"organ", "tumour"}


def test_the_command_prints_the_findings_and_fails(dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("nnunet_pancext.dataset_check.check.MOST_PICTURES", 1)
    monkeypatch.setenv("nnUNet_raw", str(dataset.parent))
    monkeypatch.chdir(tmp_path)
    assert main(["check", "7"]) == 0
    assert (tmp_path / "Dataset007_Pancreas_check" / "report.html").is_file()
    assert "6 cases, 0 with errors, 0 with warnings" in capsys.readouterr().out
    empty(dataset)
    assert main(["check", "7", "-o", str(tmp_path / "again")]) == 1
    shown = capsys.readouterr().out
    assert f"{case_of(dataset, 2)}: error: label empty" in shown
    assert "6 cases, 1 with errors, 0 with warnings" in shown
    assert main(["check", "7", "--jobs", "0"]) == 1
    assert "--jobs must be at least 1, got 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ([], r"dataset.json is not an object"),
        ({"labels": {"0": "background", "1": "pancreas"}}, r'as the Decathlon does, \{"0": "background"\};'),
        ({"labels": {"background": 0, "a": None}}, r"declares the label 'a' as null; expected a whole"),
        ({"labels": {"background": 0, "a": ["b"]}}, r"declares the label 'a' as \[\"b\"\]"),
        (
            {"labels": {"background": 0, "a": 1}, "channel_names": ["CT"]},
            r'has "channel_names": \["CT"\]; nnU',
        ),
    ],
)
def test_a_malformed_dataset_json_is_refused(tmp_path, capsys, declared, message):
    (tmp_path / "dataset.json").write_text(json.dumps(declared), encoding="utf-8")
    assert main(["check", str(tmp_path)]) == 1
    assert re.search(message, capsys.readouterr().err)


def test_a_mistyped_path_is_refused(tmp_path, capsys):
    assert main(["check", str(tmp_path / "typo")]) == 1
    assert "typo does not exist. Give the number, the name or the folder" in capsys.readouterr().err


def test_a_folder_that_is_not_a_raw_dataset_is_refused(tmp_path):
    (tmp_path / "dataset.json").write_text("{}", encoding="utf-8")
    with pytest.raises(PancextError, match='has no "labels"; nnU-Net expects names with their values'):
        inspect(tmp_path)
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "a": 1}}', encoding="utf-8")
    with pytest.raises(PancextError, match=r"No images \*_0000.nii.gz"):
        inspect(tmp_path)
