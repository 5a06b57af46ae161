"""Models of 2D files through `pancext compare` and `pancext report`: pictures, and slices with a spacing."""

import csv
import re
import shutil
from base64 import b64decode
from io import BytesIO
from itertools import chain

import made_results
import numpy as np
import pytest
import SimpleITK as sitk
from made_results import DATASET, add_model, make_tree, truth_array
from matplotlib.image import imread

from nnunet_pancext.cli.main import main
from nnunet_pancext.figures import layout

ENDINGS = (".png", ".nii.gz")


@pytest.fixture(params=ENDINGS)
def ending(request):
    return request.param


@pytest.fixture
def slices(tmp_path, monkeypatch, ending):
    """Two models of eight slices, the second better, with the images of their cases."""
    monkeypatch.setattr(layout, "PIXELS_PER_INCH", 40)
    monkeypatch.setattr(made_results, "ENDING", ending)
    monkeypatch.setattr(made_results, "truth_array", lambda index: truth_array(index)[2])
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    tree = make_tree(tmp_path)
    add_model(tree, "Worse", shift=3)
    add_model(tree, "Better", shift=1)
    images = tmp_path / "nnUNet_raw" / DATASET / "imagesTr"
    images.mkdir(parents=True)
    shutil.copy(tree.preprocessed / "dataset.json", images.parent)
    for case in chain(*tree.folds):
        truth = sitk.ReadImage(str(tree.truths / f"{case}{ending}"))
        sitk.WriteImage(truth * 40 + 50, str(images / f"{case}_0000{ending}"))
    return tree


def pictures_of(page: str) -> list[np.ndarray]:
    return [
        imread(BytesIO(b64decode(text)), format="png")
        for text in re.findall(r"data:image/png;base64,([^\"]+)", page)
    ]


def test_models_of_slices_are_compared(slices, tmp_path, capsys, ending):
    out = tmp_path / "out"
    assert main(["compare", "7", "--trainers", "Worse", "Better", "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    unit = {".png": "nothing can be measured in mm or mL", ".nii.gz": "a slice has no known thickness"}[
        ending
    ]
    assert unit in " ".join(printed.split())
    with (out / "comparison.csv").open(newline="", encoding="utf-8") as stream:
        rows = {(row["trainer"], row["case"], row["label"]): row for row in csv.DictReader(stream)}
    # 4 columns of a lesion moved by 3 and by 1
    assert float(rows["Worse", "pancreas_000", "tumour"]["dice"]) == pytest.approx(0.25)
    better = rows["Better", "pancreas_000", "tumour"]
    assert float(better["dice"]) == pytest.approx(0.75)
    assert better["hd95_mm"] == {".png": "", ".nii.gz": "1"}[ending]
    assert better["volume_ml"] == ""
    page = (out / "comparison.html").read_text(encoding="utf-8")
    assert unit in page
    assert "true volume, mL" not in page
    assert "By size of the label" not in page
    assert ("HD95, mm" in page) == (ending == ".nii.gz")
    assert unit in " ".join((out / "comparison.tex").read_text(encoding="utf-8").split())
    assert (out / "strata.csv").read_text(encoding="utf-8").splitlines() == [
        "trainer,label,size,metric,n,infinite,mean,sd,median"
    ]
    figures = pictures_of(page)
    assert 1 <= len(figures) <= 3  # worst, median and best, each once
    assert all(picture.std() > 0.05 for picture in figures)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--strata", "tumour=20mm"], "--strata groups cases by volume. There are no {}. Leave it out."),
        (
            ["--metrics", "dice", "volume_error_ml"],
            "no case of any trainer. There are no {}. Leave it out of",
        ),
    ],
)
def test_what_is_not_measured_cannot_be_asked_for(slices, tmp_path, capsys, ending, options, message):
    assert main(["compare", "7", "--trainers", "Worse", "Better", "-o", str(tmp_path / "o"), *options]) == 1
    what = {".png": "distances, NSD or volumes", ".nii.gz": "volumes in mL"}[ending]
    pattern = re.escape(message).replace(r"\{\}", rf"{what}:[^.]+")
    assert re.search(pattern, capsys.readouterr().err)


@pytest.mark.parametrize("ending", [".nii.gz"], indirect=True)
def test_slices_and_volumes_are_not_compared_together(slices, tmp_path, capsys):
    path = slices.prediction("Better", "pancreas_003")
    sitk.WriteImage(sitk.JoinSeries(sitk.ReadImage(str(path))), str(path))
    assert main(["compare", "7", "--trainers", "Worse", "Better", "-o", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert f"and {path} has 3. Slices and volumes are not scored together" in error


def test_a_model_of_slices_is_reported(slices, tmp_path, capsys, ending):
    target = tmp_path / "report.html"
    assert main(["report", str(slices.model("Worse")), "-o", str(target)]) == 0
    printed, notes = capsys.readouterr()
    note = {".png": "There are no distances, NSD or volumes", ".nii.gz": "There are no volumes in mL"}[ending]
    page = target.read_text(encoding="utf-8")
    assert note in page
    assert (printed + notes).count(note) == 1
    assert ("HD95, mm" in page) == (ending == ".nii.gz")
    assert "volume error" not in page
    figures = pictures_of(page)
    assert figures
    for picture in figures:  # two square panels beside each other, not two rows of them
        assert picture.shape[1] > 1.2 * picture.shape[0]
        assert picture.std() > 0.05
