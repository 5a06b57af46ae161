"""What `pancext predict` says of DICOM input, options and packages that it cannot use."""

import re
import struct
import sys
import zipfile
from pathlib import Path

import pydicom
import pytest
from contracts.dicom_series import MadeSeries, make_series
from prediction.made_models import predict, write_model
from prediction.threshold_model import write_threshold_model

from nnunet_pancext.io import safe_zip


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def model(shared) -> Path:
    return write_threshold_model(shared / "results")


@pytest.fixture(scope="module")
def series(shared) -> MadeSeries:
    return make_series(shared / "series")


@pytest.fixture
def refused(tmp_path, capsys):
    """Run the command and compare its message; of a case nothing is in the output folder."""

    def run(words: str, *arguments: object) -> str:
        out = tmp_path / "out"
        assert predict(*arguments, "-o", out) != 0
        printed = capsys.readouterr().err.strip()
        printed = re.sub(r"\npancext predict: \d+ of \d+ cases failed$", "", printed)
        assert re.search(words, printed), printed
        assert "Traceback" not in printed
        assert {path.name for path in out.glob("*")} <= {"dataset.json", "plans.json"}  # of the model
        return printed

    return run


def packed(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def edit(files, **fields):
    for file in files:
        data = pydicom.dcmread(file)
        for keyword, value in fields.items():
            setattr(data, keyword, value)
        data.save_as(file)


@pytest.mark.parametrize(
    ("channels", "dataset", "words"),
    [
        (2, {}, r"is DICOM, and a CT series is one channel, but the model takes 2 \("),
        (1, {"reader": "NaturalImage2DIO"}, "is DICOM, but the model reads .png .* not volumes in HU"),
    ],
)
def test_models_that_take_no_ct_volume(results, series, refused, channels, dataset, words):
    from prediction.made_models import plans_of

    plans = plans_of(channels)
    ending = ".nii.gz"
    if dataset:
        plans["image_reader_writer"], ending = dataset["reader"], ".png"
    model = write_model(results, "2d", channels=channels, plans=plans, file_ending=ending)
    refused(words, series.folder, "-m", model)


def test_a_folder_that_is_neither(model, tmp_path, refused):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("Müller", encoding="utf-8")
    refused(
        "holds no image called CASE_0000.nii.gz, .*, and no DICOM file. There are notes.txt",
        tmp_path / "in",
        "-m",
        model,
    )


def test_a_folder_without_ct(model, tmp_path, refused):
    made = make_series(tmp_path / "in", "strays beside")
    for file in [*made.files, *made.folder.glob("2-*")]:
        file.unlink()
    refused(
        r"in: no CT slice in 6 of 6 files \(.*1 localizer: localizer.dcm.* Give the folder of",
        tmp_path / "in",
        "-m",
        model,
    )


def test_a_single_slice(series, model, refused):
    refused("1-004.dcm is the only slice", series.files[3], "-m", model)


class TestZips:
    @pytest.fixture
    def zip_refused(self, refused, model, tmp_path):
        return lambda words: refused(words, tmp_path / "study.zip", "-m", model)

    def test_without_dicom(self, tmp_path, zip_refused):
        packed(tmp_path / "study.zip", {"a/readme.txt": b"text"})
        zip_refused("study.zip holds no CT series: 1 not DICOM. Give one with a CT series")

    def test_empty(self, tmp_path, zip_refused):
        packed(tmp_path / "study.zip", {})
        zip_refused("study.zip holds no CT series: it is empty")

    def test_that_is_none(self, tmp_path, zip_refused):
        (tmp_path / "study.zip").write_bytes(b"no zip at all")
        zip_refused("study.zip is damaged: File is not a zip file")

    def test_cut_short(self, tmp_path, zip_refused, series):
        path = packed(tmp_path / "study.zip", {file.name: file.read_bytes() for file in series.files})
        path.write_bytes(path.read_bytes()[:-20])
        zip_refused("study.zip is damaged: .* Download it again")

    @pytest.mark.parametrize("name", ["../1-001.dcm", "/tmp/1-001.dcm", "C:/1-001.dcm", "a\\..\\b.dcm"])
    def test_that_leave_the_folder(self, tmp_path, zip_refused, name):
        packed(tmp_path / "study.zip", {"1-002.dcm": b"", name: b"escaped"})
        zip_refused("would be written outside of the folder: .* Nothing was extracted")
        assert not list(tmp_path.rglob("*1-001.dcm"))

    def test_bombs(self, tmp_path, zip_refused):
        packed(tmp_path / "study.zip", {"1-001.dcm": bytes(40 << 20)}, zipfile.ZIP_DEFLATED)
        zip_refused(r"41,943,040 bytes in [\d,]+ compressed ones: '1-001.dcm'")

    def test_with_members_that_overlap(self, tmp_path, zip_refused):
        path = packed(tmp_path / "study.zip", {"1-001.dcm": bytes(1000), "1-002.dcm": bytes(1000)})
        content = bytearray(path.read_bytes())
        at = content.rindex(b"PK\1\2") + 42  # where the directory says that the second member begins
        content[at : at + 4] = struct.pack("<L", 0)
        path.write_bytes(content)
        zip_refused("members that overlap")

    def test_encrypted(self, tmp_path, zip_refused):
        path = packed(tmp_path / "study.zip", {"1-001.dcm": bytes(1000)})
        content = bytearray(path.read_bytes())
        content[content.rindex(b"PK\1\2") + 8] |= 1
        path.write_bytes(content)
        zip_refused("an encrypted file: '1-001.dcm'")

    def test_of_more_than_the_disk_holds(self, tmp_path, zip_refused, monkeypatch):
        packed(tmp_path / "study.zip", {"1-001.dcm": bytes(1000)})
        usage = type("Usage", (), {"free": 10})
        monkeypatch.setattr("nnunet_pancext.io.disk.shutil.disk_usage", lambda path: usage)
        zip_refused("no room in .*study|no room in .*: 1 MB are needed, 1 MB are free.* another disk with -o")


class TestChoice:
    def test_two_studies(self, model, tmp_path, refused):
        for seed in (0, 1):
            make_series(tmp_path / "in" / str(seed), seed=seed)
        text = refused("in: it holds CT series of 2 studies: ", tmp_path / "in", "-m", model)
        assert "Give the folder of each study as an INPUT of its own, or choose with --series UID." in text

    def test_two_series_as_large(self, model, tmp_path, refused):
        made = make_series(tmp_path / "in" / "soft")
        other = make_series(tmp_path / "in" / "lung", "rows negated")
        text = refused("its largest CT series have the same number of slices: ", tmp_path / "in", "-m", model)
        assert f"{made.uid} Portal venous, 14 slices" in text
        assert f"{other.uid} Portal venous, 14 slices" in text
        assert text.endswith("Choose with --series UID.")

    def test_a_series_that_is_not_there(self, model, series, refused):
        refused(
            f"series: it has no CT series 1.2.3. It has {series.uid} Portal venous, 14 slices",
            *(series.folder, "-m", model, "--series", "1.2.3"),
        )

    def test_one_series_twice(self, model, series, tmp_path, refused):
        packed(tmp_path / "same.zip", {file.name: file.read_bytes() for file in series.files})
        refused(
            f"series and .*same.zip both hold the series {series.uid}. Give it once",
            *(series.folder, tmp_path / "same.zip", "-m", model),
        )

    def test_a_name_for_several(self, model, series, tmp_path, refused):
        other = make_series(tmp_path / "other", "prone")
        refused(
            "--name ct is the name of one case, but there are 2",
            *(series.folder, other.folder, "-m", model, "--name", "ct"),
        )

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("../ct", "a name has letters, digits"),
            ("plans", "has another file of this name"),
            (".ct", "letters"),
        ],
    )
    def test_names_that_are_no_file_names(self, model, series, refused, name, words):
        refused(f"--name .*{words}", series.folder, "-m", model, "--name", name)

    def test_no_uid_and_no_name(self, model, tmp_path, refused):
        make_series(tmp_path / "in", "no series UID")
        refused(
            "the slices have no SeriesInstanceUID, .* Give it a name with --name",
            tmp_path / "in",
            "-m",
            model,
        )

    def test_several_without_uid_fail_each_for_itself(self, model, series, tmp_path, capsys):
        folders = [make_series(tmp_path / name, "no series UID", seed=1).folder for name in ("a", "b")]
        assert predict(*folders, series.folder, "-m", model, "-o", tmp_path / "out") == 1
        printed = capsys.readouterr().err
        for name in ("series", "series (2)"):
            assert f"pancext predict: {name}: the slices have no SeriesInstanceUID" in printed
        assert (tmp_path / "out" / f"{series.uid}.seg.dcm").is_file()

    def test_a_chosen_series_that_is_nowhere(self, model, series, refused):
        words = (series.folder, "-m", model, "--series", series.uid, "--series", "1.2.3")
        refused("--series 1.2.3: no INPUT has a CT series of this UID", *words)

    def test_a_uid_that_is_none(self, model, tmp_path, refused):
        made = make_series(tmp_path / "in")
        edit(made.files, SeriesInstanceUID="ANON.17")
        refused(
            "its SeriesInstanceUID, which would be the case's name, is not a UID", made.folder, "-m", model
        )
        assert predict(made.folder, "-m", model, "-o", tmp_path / "named", "--name", "ct") == 0
        assert (tmp_path / "named" / "ct.seg.dcm").is_file()

    def test_a_uid_that_is_a_path(self, model, tmp_path, refused):
        made = make_series(tmp_path / "in")
        edit(made.files, SeriesInstanceUID="../../etc")
        refused("Give it a name with --name", tmp_path / "in", "-m", model)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ("--no-seg", "--store", "https://pacs/dicom-web"),
            "--no-seg: without a DICOM-SEG, --store has no effect",
        ),
        (("--no-seg", "--empty-frames", "omit"), "--no-seg: .* --empty-frames has no effect"),
        (("--tls",), "--tls belongs to --send"),
        (("--ca-bundle", "gone.pem"), "--ca-bundle: no server is used"),
        (("--store", "http://pacs.hospital/dicom-web"), "is without TLS"),
        (("--store", "ftp://pacs"), "is not a URL of a server"),
        (("--send", "pacs:4242"), "is not a receiver. Give AET@HOST:PORT"),
        (("--codes", "gone.json"), "gone.json"),
    ],
)
def test_options_that_contradict_each_other_or_are_malformed(model, series, refused, options, words):
    refused(words, series.folder, "-m", model, *options)


@pytest.mark.parametrize(
    "options", [("--series", "1.2"), ("--no-seg",), ("--store", "https://pacs/a"), ("--negative", "seg")]
)
def test_options_of_dicom_without_dicom(model, image, refused, options):
    refused(f"{options[0]}: the input is not DICOM, so this has no effect", image, "-m", model, *options)


def test_a_label_without_code_is_refused_before_any_work(results, series, refused, tmp_path):
    model = write_threshold_model(results, labels={"background": 0, "pancreas": 1, "blob": 2})
    text = refused("none is known for the label.*'blob'", series.folder, "-m", model)
    assert '"blob": {"category"' in text
    words = (series.folder, "-m", model, "-o", tmp_path / "out")
    assert predict(*words, "--private-codes") == 0
    stored = pydicom.dcmread(tmp_path / "out" / f"{series.uid}.seg.dcm", stop_before_pixels=True)
    code = stored.SegmentSequence[1].SegmentedPropertyTypeCodeSequence[0]
    assert (code.CodingSchemeDesignator, code.CodeMeaning) == ("99PANCEXT", "blob")


@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("highdicom", ()),
        ("dicomweb_client.api", ("--store", "https://pacs.hospital/dicom-web")),
        ("pynetdicom", ("--send", "PACS@pacs.hospital:104")),
    ],
)
def test_a_package_that_is_missing_is_named_with_the_extra(
    model, series, refused, monkeypatch, tmp_path, module, options
):
    monkeypatch.setitem(sys.modules, module, None)
    refused(r'Install the extra: pip install "nnunet-pancext\[dicom\]"', series.folder, "-m", model, *options)


def test_no_extra_is_needed_without_segmentation(model, series, monkeypatch, tmp_path):
    for module in ("highdicom", "dicomweb_client", "dicomweb_client.api", "pynetdicom", "pylibjpeg"):
        monkeypatch.setitem(sys.modules, module, None)
    assert predict(series.folder, "-m", model, "-o", tmp_path / "out", "--no-seg") == 0
    assert (tmp_path / "out" / f"{series.uid}.nii.gz").is_file()


def test_images_with_a_flaw_do_not_stop_the_others(model, series, tmp_path, capsys):
    bad = make_series(tmp_path / "bad", "gap")
    out = tmp_path / "out"
    assert predict(bad.folder, series.folder, "-m", model, "-o", out) == 1
    assert f"pancext predict: {bad.uid}: " in capsys.readouterr().err
    assert (out / f"{series.uid}.seg.dcm").is_file()


def test_pixels_that_cannot_be_decoded(model, tmp_path, refused):
    made = make_series(tmp_path / "in", "JPEG 2000")
    for file in made.files:
        data = pydicom.dcmread(file)
        data.PixelData = pydicom.encaps.encapsulate([pydicom.encaps.get_frame(data.PixelData, 0)[:300]])
        data.save_as(file)
    refused(
        r"of 1-001.dcm cannot be read: a frame has no end.* stored as JPEG 2000 .*Export the series",
        *(tmp_path / "in", "-m", model),
    )


def test_a_file_that_vanishes(model, tmp_path, capsys, monkeypatch):
    from nnunet_pancext.prediction.dicom import case as dicom_case

    made = make_series(tmp_path / "in")
    monkeypatch.setattr(dicom_case, "sha256_of", lambda file: (_ for _ in ()).throw(OSError(5, "gone")))
    assert predict(made.folder, "-m", model, "-o", tmp_path / "out") == 1
    assert re.search(r"1-001.dcm cannot be read \(gone\)", capsys.readouterr().err)


def test_an_archive_is_held_to_the_number_of_members(model, tmp_path, refused, monkeypatch):
    monkeypatch.setattr(safe_zip, "MOST_MEMBERS", 2)
    packed(tmp_path / "study.zip", dict.fromkeys("abc", b""))
    refused("holds 3 members, more than 2", tmp_path / "study.zip", "-m", model)


def test_a_fault_of_the_program_is_reported_without_values_of_headers(
    model, series, tmp_path, monkeypatch, capsys
):
    from nnunet_pancext.prediction.dicom import results as dicom_results

    value = "^".join(("Zweistein", "Adalberta"))

    def fail(*_, **__):
        raise ValueError(value)

    monkeypatch.setattr(dicom_results, "write_segmentation", fail)
    assert predict(series.folder, "-m", model, "-o", tmp_path / "out") == 1
    text = capsys.readouterr().err
    assert "failed unexpectedly (ValueError). Please report this:" in text
    assert "raise ValueError(value)" in text
    assert "Zweistein" not in text


def test_a_fault_in_one_input_is_reported_without_values_and_leaves_the_others(
    model, series, tmp_path, monkeypatch, capsys
):
    from nnunet_pancext.prediction.dicom import input as dicom_input

    bad, find = make_series(tmp_path / "bad", seed=1), dicom_input.find_ct_series

    def fail(files, *, root):
        if root == bad.folder:
            raise ValueError("Zweistein^Adalberta")
        return find(files, root=root)

    monkeypatch.setattr(dicom_input, "find_ct_series", fail)
    assert predict(bad.folder, series.folder, "-m", model, "-o", tmp_path / "out") == 1
    text = capsys.readouterr().err
    assert "pancext predict: bad: failed unexpectedly (ValueError)" in text
    assert ": Zweistein" not in text
    assert (tmp_path / "out" / f"{series.uid}.seg.dcm").is_file()


def test_passwords_in_addresses_are_never_shown(results, capsys, tmp_path):
    model = write_model(results, "2d", channels=2)
    assert predict("dicomweb:https://me:secret@pacs/studies/1.2", "-m", model, "-o", tmp_path / "out") == 1
    printed = "".join(capsys.readouterr())
    assert "https://pacs/studies/1.2 is DICOM" in printed
    assert "secret" not in printed
