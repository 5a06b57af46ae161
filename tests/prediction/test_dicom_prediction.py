"""`pancext predict` of DICOM series of a known object: right in patient coordinates, or refused by name."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from contracts.dicom_series import READABLE, REFUSED, SERIES, MadeSeries, make_series
from prediction.in_patient_coordinates import of_label_map, of_segmentation
from prediction.made_models import predict as predict_exact
from prediction.made_models import record
from prediction.threshold_model import write_threshold_model

from nnunet_pancext.io.files import walk_visible_files

# Readable, but no DICOM-SEG can refer to their images.
WITHOUT_UID = ("no series UID", "no study UID", "no frame of reference")
SEGMENTED = [name for name in READABLE if name not in WITHOUT_UID]


def predict(*words):
    return predict_exact(*words, "--disable_tta")


@pytest.fixture(scope="module")
def threshold_model(tmp_path_factory) -> Path:
    return write_threshold_model(tmp_path_factory.mktemp("threshold") / "results")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, MadeSeries]:
    """Every kind of series, each in a folder of its own."""
    root = tmp_path_factory.mktemp("series")
    return {name: make_series(root / f"series{number}", name) for number, name in enumerate(SERIES)}


@pytest.fixture(scope="module")
def out(made, threshold_model, tmp_path_factory) -> Path:
    """The predictions of all that can be predicted, by one run."""
    out = tmp_path_factory.mktemp("predicted") / "out"
    assert predict(*(made[name].folder for name in SEGMENTED), "-o", out, "-m", threshold_model) == 0
    return out


@pytest.mark.parametrize("name", SEGMENTED)
def test_label_map_and_segmentation_are_right_in_patient_coordinates(made, out, name):
    kind, uid = SERIES[name], made[name].uid
    for placed in (of_label_map(out / f"{uid}.nii.gz"), of_segmentation(out / f"{uid}.seg.dcm")):
        if not kind.has_organ:
            assert not placed.labels.any()
            continue
        dice = placed.dice(has_lesion=kind.has_lesion)
        assert min(dice) >= 0.99
        assert placed.off_centre_mm() < 0.1


@pytest.mark.parametrize("name", SEGMENTED)
def test_the_label_map_has_the_grid_of_the_ct(made, out, name):
    image = sitk.ReadImage(str(out / f"{made[name].uid}.nii.gz"))
    affine = np.eye(4)  # from x, y, z
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    expected = made[name].affine[:, [2, 1, 0, 3]]
    np.testing.assert_allclose(affine, expected, atol=0.02 if name == "slightly uneven" else 1e-4)


def test_a_mirrored_result_would_be_found_out(made, out):
    placed = of_label_map(out / f"{made['plain'].uid}.nii.gz")
    for axis in range(3):
        assert max(type(placed)(np.flip(placed.labels, axis), placed.points_mm).dice()) < 0.9


def test_references_lead_to_the_slices_that_frames_lie_on(made, out):
    data = pydicom.dcmread(out / f"{made['names reversed'].uid}.seg.dcm")
    positions = {}
    for file in made["names reversed"].files:
        header = pydicom.dcmread(file, stop_before_pixels=True)
        positions[header.SOPInstanceUID] = list(header.ImagePositionPatient)
    for groups in data.PerFrameFunctionalGroupsSequence:
        source = groups.DerivationImageSequence[0].SourceImageSequence[0]
        position = groups.PlanePositionSequence[0].ImagePositionPatient
        np.testing.assert_allclose(positions[source.ReferencedSOPInstanceUID], position)


def test_volume_and_lesion_of_the_record_are_those_of_the_object(made, out):
    content = record(out, made["oblique"].uid)
    voxel_ml = 3.0 * 1.25 * 0.9 / 1000
    organ, lesion = made["oblique"].label_map == 1, made["oblique"].lesion
    assert content["volumes_ml"]["pancreas"] == pytest.approx(organ.sum() * voxel_ml, rel=1e-4)
    (entry,) = content["lesions"]
    centre = np.argwhere(lesion).mean(0) @ made["oblique"].affine[:3, :3].T + made["oblique"].affine[:3, 3]
    np.testing.assert_allclose(entry["centre_mm"], centre, atol=0.1)
    assert content["segmentation"]["file"] == f"{made['oblique'].uid}.seg.dcm"
    stored = pydicom.dcmread(out / content["segmentation"]["file"], stop_before_pixels=True)
    assert content["segmentation"]["sop_instance_uid"] == stored.SOPInstanceUID
    assert set(content["inputs"][0]) == {"series", "files", "sha256"}
    assert (content["inputs"][0]["series"], content["inputs"][0]["files"]) == (made["oblique"].uid, 14)


def test_series_that_are_no_volume_are_refused_by_name(made, threshold_model, tmp_path, capsys):
    words = [made[name].folder for name in REFUSED]
    assert predict(*words, made["plain"].folder, "-o", tmp_path / "out", "-m", threshold_model) == 1
    lines = capsys.readouterr().err.splitlines()
    for name in REFUSED:
        (line,) = [line for line in lines if line.startswith(f"pancext predict: {made[name].uid}: ")]
        assert SERIES[name].expected in line
        assert "remove the case" not in line
    assert lines[-1] == f"pancext predict: {len(REFUSED)} of {len(REFUSED) + 1} cases failed"
    written = {path.name for path in (tmp_path / "out").glob("*.seg.dcm")}
    assert written == {f"{made['plain'].uid}.seg.dcm"}


@pytest.mark.parametrize("name", WITHOUT_UID)
def test_no_segmentation_without_uids_but_a_label_map(made, threshold_model, tmp_path, capsys, name):
    words = (made[name].folder, "-o", tmp_path / "out", "-m", threshold_model, "--name", "ct")
    assert predict(*words) == 1
    assert "pancext predict: ct: No DICOM-SEG without " in (printed := capsys.readouterr().err)
    assert "--no-seg" in printed
    assert predict(*words, "--no-seg") == 0
    placed = of_label_map(tmp_path / "out" / "ct.nii.gz")
    assert min(placed.dice()) == 1
    assert not list((tmp_path / "out").glob("*.dcm"))


def test_nothing_found_is_an_empty_segmentation_or_a_sentence(made, threshold_model, tmp_path, capsys):
    uid = made["no organ"].uid
    words = (made["no organ"].folder, "-o", tmp_path / "out", "-m", threshold_model)
    assert predict(*words) == 0
    stored = pydicom.dcmread(tmp_path / "out" / f"{uid}.seg.dcm")
    assert not stored.pixel_array.any()
    assert [segment.SegmentLabel for segment in stored.SegmentSequence] == ["pancreas", "tumour"]
    assert predict(*words, "--negative", "none") == 0
    assert f"{uid}: nothing was found, so there is no DICOM-SEG" in capsys.readouterr().out
    assert not list((tmp_path / "out").glob("*.seg.dcm"))
    assert record(tmp_path / "out", uid)["segmentation"]["file"] is None
    assert predict(*words, "--negative", "none") == 0
    assert f"{uid}: kept" in capsys.readouterr().out


def test_empty_frames_can_be_omitted(made, threshold_model, tmp_path):
    words = (made["plain"].folder, "-o", tmp_path / "out", "-m", threshold_model)
    assert predict(*words, "--empty-frames", "omit") == 0
    stored = pydicom.dcmread(tmp_path / "out" / f"{made['plain'].uid}.seg.dcm")
    labels = made["plain"].label_map
    expected = sum(int((labels == value).any((1, 2)).sum()) for value in (1, 2))
    assert stored.NumberOfFrames == expected < 28


class TestKept:
    """A second run predicts what has changed."""

    @pytest.fixture
    def again(self, threshold_model, tmp_path, capsys):
        """Run twice with a change between, and return whether the case was kept."""
        made = make_series(tmp_path / "series")
        words = (made.folder, "-o", tmp_path / "out", "-m", threshold_model)

        def run(change=lambda made: None, *options):
            assert predict(*words) == 0
            change(made)
            capsys.readouterr()
            assert predict(*words, *options) == 0
            return ": kept" in capsys.readouterr().out

        return run

    def test_the_same_series_is_kept(self, again):
        assert again()

    def test_other_names_of_the_files_change_nothing(self, again):
        assert again(lambda made: [file.rename(file.with_name(f"z{file.name[::-1]}")) for file in made.files])

    def test_other_pixels_are_predicted(self, again):
        def change(made):
            data = pydicom.dcmread(made.files[3])
            data.PixelData = data.PixelData[:-2] + b"\1\0"
            data.save_as(made.files[3])

        assert not again(change)

    @pytest.mark.parametrize("options", [("--empty-frames", "omit"), ("--negative", "none")])
    def test_other_options_are_predicted(self, again, options):
        assert not again(lambda made: None, *options)

    def test_a_lost_segmentation_is_written_again(self, again):
        assert not again(lambda made: next(made.folder.parent.glob("out/*.seg.dcm")).unlink())


@pytest.mark.filterwarnings("ignore:Invalid value")  # where the test writes it
def test_nothing_of_the_patient_is_written_or_printed_but_in_the_segmentation(
    threshold_model, tmp_path, capfd
):
    made = make_series(tmp_path / "series", "strays beside")
    secrets = [
        "Zweistein",
        "Adalberta",
        "MRN-0815",
        "19500102",
        "ACC-7711",
        "Referrer",
        "S-4711",
        "Broken^Date",
    ]
    for file in made.files:
        data = pydicom.dcmread(file)
        data.PatientName, data.AccessionNumber = "Zweistein^Adalberta", "ACC-7711"
        data.StudyID, data.OtherPatientIDs = "S-4711", "MRN-0815"
        data.add_new("StudyTime", "TM", "Broken^Date")  # against the standard: libraries warn about it
        data.save_as(file)
    options = ("--report", "--save_probabilities", "--entropy", "--per-fold")
    assert predict(made.folder, "-o", tmp_path / "out", "-m", threshold_model, *options) == 0
    printed = "".join(capfd.readouterr())
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(written) == 10
    for secret in secrets:
        assert secret not in printed
        for path in written:
            assert secret not in path.name
            if not path.name.endswith(".seg.dcm"):
                assert secret.encode() not in _content(path)
    assert b"MRN-0815" in (tmp_path / "out" / f"{made.uid}.seg.dcm").read_bytes()


def _content(path: Path) -> bytes:
    if path.suffix == ".gz":
        import gzip

        return gzip.decompress(path.read_bytes())
    return path.read_bytes()


def test_the_report_shows_the_series(made, threshold_model, tmp_path):
    words = (made["coronal"].folder, "-o", tmp_path / "out", "-m", threshold_model, "--report")
    assert predict(*words) == 0
    page = (tmp_path / "out" / "prediction.html").read_text(encoding="utf-8")
    assert page.count("<img") == 2  # the organ, and its lesion
    assert predict(*words) == 0  # of a case that is kept too
    assert (tmp_path / "out" / "prediction.html").read_text(encoding="utf-8").count("<img") == page.count(
        "<img"
    )


@pytest.mark.parametrize("how", ["done", "killed before"])
def test_temporary_files_are_removed(made, threshold_model, tmp_path, how):
    out = tmp_path / "out"
    if how == "killed before":
        left = out / ".pancext-dicom-abc" / "files"
        left.mkdir(parents=True)
        (left / "ct.nii").write_bytes(b"a patient's volume")
        (left.parent / ".lock").touch()
    assert predict(made["plain"].folder, "-o", out, "-m", threshold_model) == 0
    assert not list(out.glob(".*"))
    names = {f"{made['plain'].uid}{ending}" for ending in (".nii.gz", ".seg.dcm", ".json")}
    assert {path.name for path in out.iterdir()} == names | {"dataset.json", "plans.json"}


def test_zips_of_studies_and_folders_go_together(made, threshold_model, tmp_path, capsys):
    study = made["strays beside"]
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in walk_visible_files(study.folder):
            packed.write(path, f"export/{path.name}")
    assert predict(archive, made["prone"].folder, "-o", tmp_path / "out", "-m", threshold_model) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "Arterial" in line]
    assert line.startswith(f"series    {study.uid} Portal venous, 14 slices; passed over: CT series 1.2.826")
    assert line.endswith(
        " Arterial, 5 slices; 1 Comprehensive SR (SR); 1 DICOMDIR; 1 RT Structure Set (RTSTRUCT); "
        "1 Segmentation (SEG); 1 localizer; 1 not DICOM"
    )
    for name in ("strays beside", "prone"):
        assert min(of_segmentation(tmp_path / "out" / f"{made[name].uid}.seg.dcm").dice()) == 1


def test_a_series_is_chosen_by_its_uid_and_named(threshold_model, tmp_path):
    made = make_series(tmp_path / "series", "second series beside")
    (other,) = {pydicom.dcmread(path).SeriesInstanceUID for path in made.folder.glob("2-*")}
    out = tmp_path / "out"
    assert (
        predict(made.folder, "-o", out, "-m", threshold_model, "--series", other, "--name", "arterial") == 0
    )
    assert sitk.ReadImage(str(out / "arterial.nii.gz")).GetSize() == (48, 40, 5)
    assert json.loads((out / "arterial.json").read_text(encoding="utf-8"))["inputs"][0]["series"] == other
    assert pydicom.dcmread(out / "arterial.seg.dcm").ReferencedSeriesSequence[0].SeriesInstanceUID == other


def test_one_multi_frame_file_may_be_given_itself(made, threshold_model, tmp_path):
    (file,) = made["multi-frame"].files
    assert predict(file, "-o", tmp_path / "out", "-m", threshold_model) == 0
    assert min(of_segmentation(tmp_path / "out" / f"{made['multi-frame'].uid}.seg.dcm").dice()) == 1


@pytest.mark.parametrize("reader", ["NibabelIO", "NibabelIOWithReorient"])
def test_other_readers_place_the_segmentation_alike(made, tmp_path, reader):
    model = write_threshold_model(tmp_path / "results", reader=reader)
    names = ("oblique", "both negated")  # whose slices stay slices where axes are reordered
    assert predict(*(made[name].folder for name in names), "-o", tmp_path / "out", "-m", model) == 0
    for name in names:
        assert min(of_segmentation(tmp_path / "out" / f"{made[name].uid}.seg.dcm").dice()) >= 0.99


def test_balanced_and_fast_take_series_too(made, threshold_model, tmp_path):
    for speed in ("balanced", "fast"):
        out = tmp_path / speed
        assert predict(made["plain"].folder, "-o", out, "-m", threshold_model, "--speed", speed) == 0
        assert min(of_segmentation(out / f"{made['plain'].uid}.seg.dcm").dice()) >= 0.99
