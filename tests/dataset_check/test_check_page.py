"""The page of a check: pictures of volumes and of slices, and a table that sorts."""

import json
import re
import shutil
from html.parser import HTMLParser

import matplotlib.image
import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_pancext.dataset_check import check_dataset, report
from nnunet_pancext.dataset_check.slice_overlay import write_slice_overlay
from nnunet_pancext.errors import PancextError

RED = (255, 59, 59)


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(pixels.astype(np.uint8)), str(path))


@pytest.fixture(scope="module")
def made_slices(tmp_path_factory):
    """Twelve slices of 40 x 60 with a square of 12 x 12, empty in the third."""
    folder = tmp_path_factory.mktemp("slices") / "Dataset101_Slices"
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 100, (40, 60))
        label = np.zeros((40, 60))
        if number != 2:
            label[10:22, 20:32] = 1
        write(folder / "imagesTr" / f"p_{number}_0000.png", pixels)
        write(folder / "labelsTr" / f"p_{number}.png", label)
    declared = {"channel_names": {"0": "grey"}, "labels": {"background": 0, "pancreas": 1}, "numTraining": 12}
    (folder / "dataset.json").write_text(json.dumps({**declared, "file_ending": ".png"}), encoding="utf-8")
    return folder


@pytest.fixture
def slices(made_slices, tmp_path):
    """A copy of the slices that a test may change."""
    return shutil.copytree(made_slices, tmp_path / made_slices.name)


@pytest.fixture(scope="module")
def checked(made_slices, tmp_path_factory):
    """The check of the unchanged slices."""
    return check(made_slices, tmp_path_factory.mktemp("checked"))


def check(dataset, tmp_path):
    return check_dataset(dataset, out=tmp_path / "check", show_progress=False)


def red_pixels(path):
    picture = (matplotlib.image.imread(path)[..., :3] * 255).round()
    return np.argwhere((np.abs(picture - RED) < 30).all(axis=-1))


class Table(HTMLParser):
    """The rows of the sortable table: of each cell the number that it sorts by, or its text."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.key, self.inside = [], None, False
        self.feed(page[page.index('<div class="sortable">') : page.index("</main>")])

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.inside, self.key = True, dict(attributes).get("data-value")
            self.rows[-1].append(self.key if self.key is not None else "")

    def handle_endtag(self, tag):
        if tag in ("th", "td"):
            self.inside = False

    def handle_data(self, text):
        if self.inside and self.key is None:
            self.rows[-1][-1] += text


def test_every_slice_is_drawn_with_its_label(checked):
    result = checked
    assert result.is_sound
    pictures = {path.stem: path for path in (result.report.parent / "pictures").iterdir()}
    assert sorted(pictures) == sorted(result.findings)
    assert result.report.read_text(encoding="utf-8").count("data:image/png;base64") == 12
    rows, columns = red_pixels(pictures["p_1"]).T
    drawn = rows < rows.max() - 40  # without the legend below
    height, width = np.ptp(rows[drawn]), np.ptp(columns[drawn])
    assert abs(height / width - 1) < 0.1  # the square's outline
    whole = matplotlib.image.imread(pictures["p_1"]).shape[1] * 0.96
    assert width / whole == pytest.approx(12 / 60, rel=0.1)
    assert len(red_pixels(pictures["p_2"])) < len(red_pixels(pictures["p_1"])) / 3  # the legend alone


def test_the_table_sorts_by_numbers(slices, tmp_path):
    write(slices / "labelsTr" / "p_4.png", np.pad(np.ones((2, 3)), ((5, 33), (5, 52))))
    write(slices / "labelsTr" / "p_7.png", np.full((40, 60), 7))
    page = check(slices, tmp_path).report.read_text(encoding="utf-8")
    heading, first, *rows = Table(page).rows
    assert heading[:7] == ["case", "errors", "warnings", "size", "spacing, mm", "lowest", "highest"]
    assert heading[7] == "pancreas, pixels"  # a .png tells no spacing, so no volume
    assert first[:4] == ["p_7", "1.0", "0.0", "2400.0"]  # the worst comes first
    areas = {row[0]: float(row[7]) for row in rows}
    assert (areas["p_4"], areas["p_1"]) == (6, 144)
    assert {row[4] for row in rows} == {""}
    assert {row[0]: row[8] for row in rows}["p_2"] == ""  # no mean without a label: sorts last


def test_nothing_but_the_sorting_script_may_run(checked):
    page = checked.report.read_text(encoding="utf-8")
    (policy,) = re.findall(r'content="(default-src [^"]*)"', page)
    assert re.fullmatch(
        r"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-[^' ]{44}'", policy
    )
    assert page.count("<script>") == 1


def test_only_the_worst_of_very_many_cases_are_drawn(slices, tmp_path, monkeypatch):
    monkeypatch.setattr("nnunet_pancext.dataset_check.check.MOST_PICTURES", 3)
    write(slices / "labelsTr" / "p_7.png", np.full((40, 60), 7))
    result = check(slices, tmp_path)
    drawn = {path.stem for path in (tmp_path / "check" / "pictures").iterdir()}
    assert drawn == set(list(result.findings)[:3])
    assert "p_7" in drawn
    assert "Without a figure: 9 cases." in result.report.read_text(encoding="utf-8")


def unreadable(slices):
    (slices / "labelsTr" / "p_4.png").write_bytes(b"no picture")


def missing(slices):
    (slices / "labelsTr" / "p_4.png").unlink()


def other_size(slices):
    write(slices / "labelsTr" / "p_4.png", np.ones((20, 60)))


@pytest.mark.parametrize("damage", [unreadable, missing, other_size])
def test_a_slice_whose_label_cannot_be_drawn_is_drawn_alone(slices, tmp_path, damage):
    damage(slices)
    result = check(slices, tmp_path)
    assert next(iter(result.findings)) == "p_4"
    assert len(red_pixels(tmp_path / "check" / "pictures" / "p_4.png")) == 0
    assert "Without a figure" not in result.report.read_text(encoding="utf-8")


@pytest.mark.parametrize("channel", ["CT", "MR"])
def test_an_image_that_is_no_ct_is_shown_in_its_own_range(tmp_path, monkeypatch, channel):
    folder = tmp_path / "Dataset009_Heart"
    for number in range(2):
        values = np.random.default_rng(number).integers(2000, 3000, (6, 20, 20)).astype(np.int16)
        label = np.zeros((6, 20, 20), np.uint8)
        label[2:4, 5:15, 5:15] = 1
        for part, name, array in (("images", f"c{number}_0000", values), ("labels", f"c{number}", label)):
            (folder / f"{part}Tr").mkdir(parents=True, exist_ok=True)
            sitk.WriteImage(sitk.GetImageFromArray(array), str(folder / f"{part}Tr" / f"{name}.nii.gz"))
    declared = {"channel_names": {"0": channel}, "labels": {"background": 0, "heart": 1}}
    (folder / "dataset.json").write_text(json.dumps(declared), encoding="utf-8")
    check(folder, tmp_path)
    picture = matplotlib.image.imread(tmp_path / "check" / "pictures" / "c0.png")[..., :3]
    inside = picture[picture.shape[0] // 6 : picture.shape[0] // 3, picture.shape[1] // 8 : -10]
    bright = (inside.min(axis=-1) > 0.98).mean()
    assert bright > 0.5 if channel == "CT" else bright < 0.1


def test_a_slice_and_a_label_of_another_size_are_reported(tmp_path):
    image, label = (sitk.GetImageFromArray(np.zeros((4, width))) for width in (5, 6))
    with pytest.raises(
        PancextError, match=r"has \(6, 4\) pixels, the image \(5, 4\). Give a label drawn on it"
    ):
        write_slice_overlay(
            tmp_path / "out.png",
            image=[image],
            label=label,
            labels={"a": 1},
            title="",
        )
    assert report.MOST_PICTURES >= 281  # all of MSD's cases are drawn
