"""Images and label maps that no DICOM Segmentation can be written of, and files that are not kept."""

import sys
from dataclasses import replace

import pytest
from contracts.dicom_series import make_series
from segmenting import edit, write

from nnunet_pancext.errors import PancextError

highdicom = pytest.importorskip("highdicom")


@pytest.mark.parametrize(
    ("kind", "keyword"),
    [
        ("no series UID", "SeriesInstanceUID"),
        ("no study UID", "StudyInstanceUID"),
        ("no frame of reference", "FrameOfReferenceUID"),
    ],
)
def test_images_without_a_uid_are_refused(tmp_path, kind, keyword):
    made = make_series(tmp_path, kind)
    with pytest.raises(PancextError, match=rf"No DICOM-SEG without {keyword}: 14 of 14 images.*1-001\.dcm"):
        write(made)
    assert not list(tmp_path.glob("*case*"))


def test_images_of_two_series_are_refused(tmp_path):
    made, other = make_series(tmp_path / "a"), make_series(tmp_path / "b", seed=1)
    with pytest.raises(PancextError, match="images that differ in StudyInstanceUID"):
        write(made, files=(*made.files[:-1], other.files[-1]))


def test_images_of_one_uid_are_refused(tmp_path):
    made = make_series(tmp_path)
    edit(made, SOPInstanceUID="1.2.3")
    with pytest.raises(PancextError, match="share a SOPInstanceUID"):
        write(made)


def test_image_that_is_gone_is_named(tmp_path):
    made = make_series(tmp_path)
    made.files[4].unlink()
    with pytest.raises(PancextError, match=r"Cannot read the header of 1-005\.dcm \(No such file"):
        write(made)


@pytest.mark.parametrize(
    ("change", "how"),
    [
        (lambda g: replace(g, origin_mm=(g.origin_mm[0] + 0.5, *g.origin_mm[1:])), "shifted by 0.56 pixels"),
        (lambda g: replace(g, origin_mm=(*g.origin_mm[:2], g.origin_mm[2] + 3)), "one by one"),
        (lambda g: replace(g, spacing_mm=(0.91, *g.spacing_mm[1:])), "another spacing"),
        (lambda g: replace(g, spacing_mm=(*g.spacing_mm[:2], 3.5)), "one by one"),
        (lambda g: replace(g, direction=(-1, 0, 0, 0, -1, 0, 0, 0, 1)), "another orientation"),
        (lambda g: replace(g, direction=(0.998, 0.06, 0, -0.06, 0.998, 0, 0, 0, 1)), "another orientation"),
    ],
)
def test_label_map_on_another_grid_is_refused(tmp_path, change, how):
    made = make_series(tmp_path)
    with pytest.raises(PancextError, match=f"does not match its images: .*{how}"):
        write(made, geometry=change(made.geometry))
    assert not list(tmp_path.glob("*case*"))


@pytest.mark.parametrize("kind", ["plain", "sagittal"])
def test_images_in_another_order_are_refused(tmp_path, kind):
    made = make_series(tmp_path, kind)
    with pytest.raises(PancextError, match="do not lie on its slices one by one"):
        write(made, files=made.files[::-1])


def test_missing_image_is_refused(tmp_path):
    made = make_series(tmp_path)
    with pytest.raises(PancextError, match="it has 14 slices, the images have 13 frames"):
        write(made, files=made.files[1:])


def test_label_map_of_another_shape_is_refused(tmp_path):
    made = make_series(tmp_path)
    with pytest.raises(PancextError, match=r"shape \(14, 48, 40\), its grid \(14, 40, 48\)"):
        write(made, label_map=made.label_map.transpose(0, 2, 1))


def test_model_without_labels_is_refused(tmp_path):
    with pytest.raises(PancextError, match="at least one segment"):
        write(make_series(tmp_path), labels={"background": 0})


def test_unknown_choice_of_empty_frames_is_refused(tmp_path):
    with pytest.raises(PancextError, match="--empty-frames must be one of keep, omit, got 'drop'"):
        write(make_series(tmp_path), empty_frames="drop")


def test_missing_highdicom_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(PancextError, match=r'pip install "nnunet-pancext\[dicom\]"'):
        write(make_series(tmp_path))


def test_what_highdicom_refuses_is_passed_on(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise ValueError("Source images must be of one kind.")

    monkeypatch.setattr(highdicom.seg.Segmentation, "__init__", refuse)
    with pytest.raises(PancextError, match=r"highdicom refuses them \(Source images must be of one kind"):
        write(make_series(tmp_path))


def test_file_of_another_kind_is_refused(tmp_path):
    made = make_series(tmp_path)
    made.files[3].write_text("no image", encoding="utf-8")
    with pytest.raises(PancextError, match=r"No DICOM-SEG without SOPClassUID: 1 of 14 images.*1-004\.dcm"):
        write(made)


def test_image_without_position_is_refused(tmp_path):
    made = make_series(tmp_path)
    edit(made, ImagePositionPatient=None)
    with pytest.raises(PancextError, match="does not say where its pixels lie"):
        write(made)


def flip_a_voxel(data):
    data.PixelData = bytes([data.PixelData[0] ^ 1]) + data.PixelData[1:]


def negate_rows(data):
    shared = data.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    shared.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]


def exchange_positions(data):
    first, last = data.PerFrameFunctionalGroupsSequence[5], data.PerFrameFunctionalGroupsSequence[8]
    for sequence in ("PlanePositionSequence", "DerivationImageSequence"):
        of_first = getattr(first, sequence)
        setattr(first, sequence, getattr(last, sequence))
        setattr(last, sequence, of_first)


def exchange_references(data):
    first, second = data.PerFrameFunctionalGroupsSequence[:2]
    first.DerivationImageSequence = second.DerivationImageSequence


def remove_reference(data):
    del data.PerFrameFunctionalGroupsSequence[3].DerivationImageSequence


def shift_by_a_pixel(data):
    position = data.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient
    position[0] += 0.9


def repeat_a_slice(data):
    first, second = data.PerFrameFunctionalGroupsSequence[:2]
    second.PlanePositionSequence = first.PlanePositionSequence
    second.DerivationImageSequence = first.DerivationImageSequence


def lose_a_frame(data):
    data.NumberOfFrames -= 1


@pytest.mark.parametrize(
    ("corrupt", "how"),
    [
        (flip_a_voxel, r"frame 1, segment 1, differs from slice \d+"),
        (negate_rows, "other rows or columns than the label map"),
        (exchange_positions, "differs from slice"),
        (exchange_references, "names the image of another position"),
        (remove_reference, "frame 4 names no source image"),
        (shift_by_a_pixel, "frame 1 lies 0.90 mm off"),
        (repeat_a_slice, r"slice \d+ of segment 1 occurs twice"),
        (lose_a_frame, r"slice \d+ of segment 2 is missing"),
    ],
)
def test_file_that_does_not_hold_the_label_map_is_not_kept(tmp_path, monkeypatch, corrupt, how):
    made = make_series(tmp_path)
    save = highdicom.seg.Segmentation.save_as

    def corrupted(data, path):
        corrupt(data)
        save(data, path)

    monkeypatch.setattr(highdicom.seg.Segmentation, "save_as", corrupted)
    with pytest.raises(PancextError, match=f"differs from the label map: .*{how}"):
        write(made)
    assert not list(tmp_path.glob("*case*"))
