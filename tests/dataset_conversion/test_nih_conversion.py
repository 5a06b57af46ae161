"""NIH Pancreas-CT: DICOM series and labels of another orientation become one dataset."""

import json
import re
import shutil
import warnings
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_dicom import add_object, edit, replace_bytes, write_with_pydicom
from synthetic_nih import SPACING, SyntheticDownload, synthetic_ct, write_label

from nnunet_pancext.cli.main import main
from nnunet_pancext.dataset_conversion import case_steps, conversion
from nnunet_pancext.dataset_conversion.layouts.nih import convert_nih
from nnunet_pancext.errors import PancextError


@pytest.fixture
def download(tmp_path):
    made = SyntheticDownload(tmp_path / "download")
    for number in (1, 2, 13):
        made.add(number)
    return made


def convert(download, raw_root, **options):
    return convert_nih(download.images, download.labels, raw_root=raw_root, show_progress=False, **options)


def written(result, number):
    name = f"PANCREAS_{number:04d}"
    return (
        sitk.ReadImage(str(result.folder / "imagesTr" / f"{name}_0000.nii.gz")),
        sitk.ReadImage(str(result.folder / "labelsTr" / f"{name}.nii.gz")),
    )


def check_case(result, number):
    hu, mask = synthetic_ct(number)
    image, label = written(result, number)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), hu)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(label), mask)
    for volume in (image, label):
        np.testing.assert_allclose(volume.GetSpacing(), SPACING, rtol=1e-5)
        np.testing.assert_allclose(volume.GetOrigin(), (-170.5, 12.25, 40.0), atol=1e-5)
        np.testing.assert_allclose(volume.GetDirection(), np.eye(3).ravel(), atol=1e-5)


def kinds(problems):
    return [(problem.case_id, problem.kind) for problem in problems]


def test_images_are_hu_and_labels_follow_their_headers(download, raw_root):
    result = convert(download, raw_root)
    assert result.training == ("PANCREAS_0001", "PANCREAS_0002", "PANCREAS_0013")
    assert not result.left_out + result.warnings
    for number in (1, 2, 13):
        check_case(result, number)
    assert result.file_counts == {"converted": 6}
    declared = json.loads((result.folder / "dataset.json").read_text(encoding="utf-8"))
    assert declared["labels"] == {"background": 0, "pancreas": 1}
    assert declared["channel_names"] == {"0": "CT"}
    assert declared["licence"] == "CC BY 3.0"
    report = json.loads(result.report_path.read_text(encoding="utf-8"))
    assert report["orientation_of_labels"]["PANCREAS_0001"].startswith("as stored: score 1.00, next best 0.")


@pytest.mark.parametrize("flipped", list(product((False, True), repeat=3)), ids=str)
def test_a_label_stored_in_any_flip_ends_where_the_organ_is(tmp_path, raw_root, flipped):
    """The header stays what it is, and so is wrong for all flips but one."""
    steps = tuple(slice(None, None, -1 if flip else 1) for flip in flipped)
    download = SyntheticDownload(tmp_path / "download")
    download.add(1, turn=lambda mask: mask[steps])
    result = convert(download, raw_root)
    check_case(result, 1)
    right = flipped == (True, True, False)
    assert kinds(result.warnings) == ([] if right else [("PANCREAS_0001", "label turned")])


def test_exchanged_axes_under_a_correct_header(tmp_path, raw_root):
    download = SyntheticDownload(tmp_path / "download")
    download.add(2)
    _, mask = synthetic_ct(2)
    write_label(download.label(2), mask.transpose(0, 2, 1), direction=(0, 1, 0, 1, 0, 0, 0, 0, 1))
    result = convert(download, raw_root)
    check_case(result, 2)
    assert not result.warnings


@pytest.mark.parametrize(
    "below", ["manifest-1/Pancreas-CT", "DOI", "Pancreas-CT", "", "Pancreas-CT/nested/somewhere"]
)
def test_every_layout_that_circulates(tmp_path, raw_root, below):
    download = SyntheticDownload(tmp_path / "download", below=below)
    for number in (1, 2):
        download.add(number)
    (download.images / "LICENSE.txt").write_text("CC BY 3.0", encoding="utf-8")
    (download.patient(1) / "._1-001.dcm").write_bytes(b"\0\5\x16\7AppleDouble")
    result = convert(download, raw_root)
    assert len(result.training) == 2
    report = json.loads(result.report_path.read_text(encoding="utf-8"))
    assert report["source"]["other_files_ignored"] == ["LICENSE.txt"]


def test_the_folder_of_one_patient(download, raw_root):
    result = convert_nih(download.patient(2), download.labels, raw_root=raw_root, show_progress=False)
    assert result.training == ("PANCREAS_0002",)


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar"])
def test_archives(download, raw_root, tmp_path, kind):
    images, labels = (
        shutil.make_archive(str(tmp_path / folder.name), kind, folder)
        for folder in (download.images, download.labels)
    )
    result = convert_nih(Path(images), Path(labels), raw_root=raw_root, show_progress=False)
    assert len(result.training) == 3
    check_case(result, 13)
    assert not list(raw_root.glob(".*"))


def test_labels_whose_images_were_withdrawn_are_reported(download, raw_root):
    for number in (25, 70):
        write_label(download.label(number), synthetic_ct(number)[1])
    result = convert(download, raw_root)
    assert kinds(result.left_out) == [
        ("PANCREAS_0025", "images missing"),
        ("PANCREAS_0070", "images missing"),
    ]
    assert "withdrawn by the archive" in result.left_out[0].message


def test_images_repeated_under_another_number_are_left_out(download, raw_root):
    download.add(70)
    shutil.rmtree(download.patient(70))
    shutil.copytree(download.patient(2), download.patient(70))
    shutil.copy(download.label(2), download.label(70))
    result = convert(download, raw_root)
    assert kinds(result.left_out) == [("PANCREAS_0070", "duplicate image")]
    assert "PANCREAS_0002" in result.left_out[0].message


def second_series(download):
    write_with_pydicom(download.patient(2) / "other", synthetic_ct(2)[0])


def label_of_another_size(download):
    write_label(download.label(2), synthetic_ct(2)[1][:-1])


def label_empty(download):
    write_label(download.label(2), 0 * synthetic_ct(2)[1])


def label_cut(download):
    path = download.label(2)
    path.write_bytes(path.read_bytes()[:-20])


def label_four_dimensional(download):
    image = sitk.GetImageFromArray(np.zeros((2, *synthetic_ct(2)[1].shape), np.uint8), isVector=False)
    sitk.WriteImage(image, str(download.label(2)))


def label_of_values(download):
    write_label(download.label(2), 255 * synthetic_ct(2)[1][::-1, ::-1])


def label_not_a_number(download):
    mask = synthetic_ct(2)[1][::-1, ::-1].astype(np.float32)
    mask[0, 0, :3] = np.nan
    write_label(download.label(2), mask)


def label_anywhere(download):
    mask = np.zeros_like(synthetic_ct(2)[1])
    mask[1:3, 2:6, 1:5] = 1
    write_label(download.label(2), mask)


def label_twice(download):
    copy = download.labels / "again" / download.label(2).name
    copy.parent.mkdir()
    shutil.copy(download.label(2), copy)


def label_missing(download):
    download.label(2).unlink()


def slice_missing(download):
    sorted(download.series(2).iterdir())[4].unlink()


def slice_of_another_series(download):
    edit(sorted(download.series(2).iterdir())[4], SeriesInstanceUID="1.2.3")


def slice_is_text(download):
    (download.series(2) / "1-999.dcm").write_text("a note", encoding="utf-8")


def tilted(download):
    for index, path in enumerate(sorted(download.series(2).iterdir())):
        edit(path, ImagePositionPatient=[0, 0.2 * index, 1.0 * index])


@pytest.mark.parametrize(
    ("damage", "kind", "words"),
    [
        (
            second_series,
            "several series",
            r"2 CT series: .*99667/1-001.dcm\), .*other/1-001.dcm\). Keep the one",
        ),
        (label_of_another_size, "size differs", r"label0002.nii.gz: the label's size \(24, 24, 9\)"),
        (label_empty, "label empty", "label0002.nii.gz: the label has no foreground"),
        (label_cut, "label unreadable", "label0002.nii.gz is cut short"),
        (label_four_dimensional, "label not 3D", "label0002.nii.gz has 4 dimensions"),
        (label_of_values, "label value not declared", "holds 255, declared are 0, 1"),
        (label_not_a_number, "label has NaN or Inf", "label0002.nii.gz has 3 voxels that are NaN"),
        (
            label_anywhere,
            "orientation unclear",
            "the orientation of .*label0002.nii.gz cannot be determined",
        ),
        (label_twice, "duplicate id", "are labels of one patient"),
        (label_missing, "label missing", "there is no label0002.nii.gz"),
        (slice_missing, "slices missing", r"PANCREAS_0002/.*dcm are 2.00 mm apart"),
        (slice_of_another_series, "mixed series", r"2 CT series: .*9 file.*, 1.2.3 \(1 file"),
        (slice_is_text, "not DICOM", "1-999.dcm is not a complete DICOM file"),
        (tilted, "gantry tilt", "a gantry tilt of 11.3 degrees"),
    ],
)
def test_a_bad_case_is_left_out_by_name(download, raw_root, damage, kind, words):
    damage(download)
    result = convert(download, raw_root)
    assert kinds(result.left_out) == [("PANCREAS_0002", kind)]
    assert re.search(words, result.left_out[0].message)
    assert result.training == ("PANCREAS_0001", "PANCREAS_0013")
    with pytest.raises(PancextError, match="--strict: 1 problem"):
        convert(download, raw_root / "strict", strict=True)
    assert not (raw_root / "strict" / result.folder.name).exists()


def test_warnings_reach_the_output_and_the_report(download, raw_root, capsys):
    add_object(download.series(1), "1.2.840.10008.5.1.4.1.1.66.4", "SEG", frames=3)
    (download.patient(1) / "LICENSE.txt").write_text("CC BY 3.0", encoding="utf-8")
    for index, path in enumerate(sorted(download.series(2).iterdir(), reverse=True)):
        edit(path, ImagePositionPatient=[-170.5, 12.25, 40 + index + 0.04 * (index % 2)])
    for path in download.series(13).iterdir():
        edit(path, SeriesInstanceUID="")
    assert main(["convert", "nih", str(download.images), str(download.labels), "--out", str(raw_root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    report = json.loads(
        (raw_root / "Dataset082_NIHPancreas" / "conversion_report.json").read_text(encoding="utf-8")
    )
    assert "cases     3 training, 0 test (6 converted files)" in lines
    reported = {(warning["case"], warning["kind"]): warning["message"] for warning in report["warnings"]}
    for (case, kind), words in {
        ("PANCREAS_0001", "files passed over"): r"in 2 of 12 files \(1 Segmentation \(SEG\): .*LICENSE.txt",
        ("PANCREAS_0002", "uneven slices"): r"the largest deviation is 0.04 mm",
        ("PANCREAS_0013", "no SeriesInstanceUID"): r"none of the 10 slices has one",
    }.items():
        message = reported.pop((case, kind))
        assert re.search(words, message)
        assert f"  {case}: {kind}: {message}" in lines
    assert not reported


def test_pydicom_prints_nothing_about_odd_values(download, raw_root):
    for path in download.series(2).iterdir():
        edit(path, SpecificCharacterSet="ISO_IR 100")
        replace_bytes(path, b"ISO_IR 100", b"anonymous ")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert len(convert(download, raw_root).training) == 3


def test_strict_accepts_files_passed_over(download, raw_root):
    (download.series(2) / "LICENSE.txt").write_text("CC BY 3.0", encoding="utf-8")
    assert len(convert(download, raw_root, strict=True).training) == 3


def test_a_patient_without_slices_is_left_out(download, raw_root):
    shutil.rmtree(download.series(2))
    add_object(download.series(2), "1.2.840.10008.5.1.4.1.1.88.67", "SR")
    result = convert(download, raw_root)
    assert kinds(result.left_out) == [("PANCREAS_0002", "no CT series")]
    assert re.search(r"in 1 of 1 files \(1 .* SR \(SR\): .* Give the folder", result.left_out[0].message)


def test_swapped_folders_are_refused(download, raw_root):
    with pytest.raises(PancextError, match=r"no patients in .*expected are folders PANCREAS_0001"):
        convert_nih(download.labels, download.images, raw_root=raw_root, show_progress=False)
    with pytest.raises(PancextError, match=r"no labels in .*expected are label0001.nii.gz"):
        convert_nih(download.images, download.images, raw_root=raw_root, show_progress=False)
    assert not list(raw_root.iterdir())


def stop(*arguments, **options):
    raise PancextError("the disk is full")


def test_a_second_run_continues_but_reads_a_changed_series_again(download, raw_root, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(conversion, "write_cases", stop)
        with pytest.raises(PancextError, match="the disk is full"):
            convert(download, raw_root)
    hu, _ = synthetic_ct(2)
    shutil.rmtree(download.series(2))
    write_with_pydicom(download.series(2), hu + 7, spacing_mm=SPACING)
    prepared, prepare = [], case_steps.prepare_case
    monkeypatch.setattr(
        case_steps,
        "prepare_case",
        lambda case, **how: (prepared.append(case.case_id), prepare(case, **how))[1],
    )
    result = convert(download, raw_root)
    assert prepared == ["PANCREAS_0002"]
    image, _ = written(result, 2)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), hu + 7)
    check_case(result, 1)
    check_case(result, 13)
    assert not list(raw_root.glob(".*"))


def test_the_command(download, raw_root, capsys):
    assert main(["convert", "nih", str(download.images), str(download.labels), "--out", str(raw_root)]) == 0
    printed = capsys.readouterr().out
    assert "cases     3 training, 0 test (6 converted files)" in printed
    assert "Dataset082_NIHPancreas" in printed
