"""`pancext check`: what is wrong with a dataset is found, by case, and the worst comes first."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_pancext.cli.main import main
from nnunet_pancext.dataset_check import check_dataset
from nnunet_pancext.dataset_conversion.msd import convert_msd
from nnunet_pancext.errors import PancextError
from nnunet_pancext.phantom import write_phantom_dataset


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    root = tmp_path_factory.mktemp("sound")
    source = write_phantom_dataset(root / "source", cases=6, size=(16, 48, 48), seed=2, show_progress=False)
    return convert_msd(source, raw_root=root / "raw", labels="pancreas", show_progress=False).folder


@pytest.fixture
def dataset(sound, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(sound, tmp_path / "raw" / sound.name)


def check(dataset, tmp_path):
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


def test_a_sound_dataset_has_no_finding(sound, tmp_path):
    result = check(sound, tmp_path)
    assert {case: found for case, found in result.findings.items() if found} == {}
    assert result.is_sound
    assert len(result.measures) == 6
    for one in result.measures.values():
        image = sitk.ReadImage(str(sound / "imagesTr" / f"{one.case_id}_0000.nii.gz"))
        label = sitk.GetArrayFromImage(sitk.ReadImage(str(sound / "labelsTr" / f"{one.case_id}.nii.gz")))
        assert one.size == image.GetSize()
        assert one.labels["pancreas"].voxels == label.sum()
        voxel_ml = np.prod(image.GetSpacing()) / 1000
        assert one.labels["pancreas"].volume_ml == pytest.approx(label.sum() * voxel_ml)
        assert one.labels["pancreas"].mean == pytest.approx(sitk.GetArrayFromImage(image)[label > 0].mean())


def test_the_report_shows_every_case_and_needs_no_network(sound, tmp_path):
    result = check(sound, tmp_path)
    page = result.report.read_text(encoding="utf-8")
    assert page.count("data:image/png;base64") == 6
    assert "Nothing was found." in page
    assert "://" not in page
    document = json.loads((tmp_path / "check" / "report.json").read_text())
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
def test_what_is_wrong_is_found_and_comes_first(dataset, tmp_path, damage, level, kind):
    bad = case_of(dataset, 2)
    damage(dataset)
    result = check(dataset, tmp_path)
    assert next(iter(result.findings)) == bad
    assert (level, kind) in [(one.level, one.kind) for one in result.findings[bad]]
    assert [case for case, found in result.findings.items() if found] == [bad]
    assert result.is_sound == all(one.level == "warning" for one in result.findings[bad])
    page = result.report.read_text(encoding="utf-8")
    assert kind in page
    order = [page.index(f"<b>{case}</b>") for case in result.findings if f"<b>{case}</b>" in page]
    assert order == sorted(order)


def test_a_label_that_is_not_there(dataset, tmp_path):
    bad = case_of(dataset, 2)
    label_of(dataset, 2).unlink()
    result = check(dataset, tmp_path)
    assert [one.kind for one in result.findings[bad]] == ["label missing"]


def test_regions_and_other_images_than_ct(dataset, tmp_path):
    path = dataset / "dataset.json"
    declared = json.loads(path.read_text())
    path.unlink()
    declared |= {"labels": {"background": 0, "organ": [1, 2], "tumour": [2], "ignore": 3}}
    declared["channel_names"] = {"0": "MR"}
    path.write_text(json.dumps(declared))
    without_intercept(dataset)
    result = check(dataset, tmp_path)
    assert not [case for case, found in result.findings.items() if found]
    assert set(next(iter(result.measures.values())).labels) == {"organ", "tumour"}


def test_the_command_tells_and_fails(dataset, tmp_path, monkeypatch, capsys):
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


def test_folders_that_are_none_are_told(tmp_path):
    (tmp_path / "dataset.json").write_text("{}")
    with pytest.raises(PancextError, match="declares no labels"):
        check(tmp_path, tmp_path)
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "a": 1}}')
    with pytest.raises(PancextError, match=r"no images \*_0000.nii.gz"):
        check(tmp_path, tmp_path)
