"""The page about a run of predictions, as Chromium shows it."""

import re
from pathlib import Path

import numpy as np
import pytest
from made_records import LABELS, MANY_TUMOURS, ORGAN, WITH_TUMOUR, record_of, write_case

from nnunet_pancext.errors import PancextError
from nnunet_pancext.prediction.report import pictures
from nnunet_pancext.prediction.report.cards import pictures_of_each
from nnunet_pancext.prediction.report.page import write_prediction_page
from nnunet_pancext.prediction.report.texts import place_text, run_facts

ODD = "<b>odd</b> & 'quoted' \"case\" of a name that is too long for any column_of_any_table"
CASES = {"tumour": WITH_TUMOUR, "many": MANY_TUMOURS, ODD: ORGAN, "nothing": np.zeros_like(ORGAN)}


@pytest.fixture(autouse=True, scope="module")
def _coarse():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "PIXELS_PER_INCH", 40)
        yield


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page of four cases, one more whose image is gone, and one that failed."""
    folder = tmp_path_factory.mktemp("page")
    images, label_maps, records = {}, {}, []
    for number, (case, array) in enumerate(CASES.items()):
        images[case], label_maps[case] = write_case(folder / "data", str(number), array)
        fallback = "the coarse pass found nothing" if case == "nothing" else None
        seconds = {"read": 0.5, "total": 61.0 - number}
        records.append(record_of(case, label_maps[case], array, fallback=fallback, seconds=seconds))
    records.append({**records[0], "case": "gone"})
    target = folder / "page.html"
    write_prediction_page(
        target,
        records,
        images={**images, "gone": folder / "gone_0000.nii.gz"},
        label_maps={**label_maps, "gone": label_maps["tumour"]},
        labels=LABELS,
        is_ct=True,
        failures={"broken": "The image <broken> is cut short. Copy it again."},
    )
    return target


@pytest.fixture
def shown(browser, page):
    with browser.open(page) as opened:
        yield opened


def card_text(shown, case):
    cards = f"[...document.querySelectorAll('.card')].find(c => c.querySelector('h3').innerText === {case!r})"
    return shown.run(f"{cards}.innerText")


def write_one(tmp_path: Path, array, *, ending=".nii.gz", labels=LABELS, **changed):
    image, label_map = write_case(tmp_path / "data", "one", array, ending=ending)
    record = record_of("one", label_map, array, labels=labels, **changed)
    target = tmp_path / "one.html"
    write_prediction_page(
        target, [record], images={"one": image}, label_maps={"one": label_map}, labels=labels, is_ct=True
    )
    return target


def test_the_page_opens_without_errors_or_requests(shown, page):
    assert shown.errors == []
    sizes = shown.run("[...document.images].map(i => i.complete && i.naturalWidth)")
    assert len(sizes) == 4 + 1 + 5  # the whole of four, the lesion of one, five of twelve of another
    assert all(size > 100 for size in sizes)
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page.read_text(encoding="utf-8"))


def test_the_title_names_the_model_and_the_notice_is_beside_it(shown):
    assert shown.run("document.querySelector('h1').innerText") == (
        "Prediction of 6 cases by nnUNetTrainer, 3d_fullres"
    )
    assert (
        shown.run("document.querySelector('header .notes').innerText")
        == "For research. Not a medical device."
    )


def test_the_notice_is_printed_on_every_sheet(shown):
    rules = shown.run("[...document.styleSheets].flatMap(s => [...s.cssRules]).map(r => r.cssText).join(' ')")
    assert re.search(
        r'@page \{[^}]*@bottom-center \{ content: "For research\. Not a medical device\."', rules
    )


def test_all_cases_are_in_a_table_that_sorts_and_leads_to_their_cards(shown):
    first = "[...document.querySelectorAll('.sortable tbody tr')].map(row => row.cells[0].innerText)"
    assert shown.run(first) == ["tumour", "many", ODD, "nothing", "gone"]
    headings = shown.run(
        "[...document.querySelectorAll('.sortable thead th')].map(th => th.innerText.trim())"
    )
    assert headings == [
        "case", "pancreas, mL", "tumour, mL", "lesions", "largest lesion, mL", "its diameter, mm",
        "windows run", "windows left out", "time", "whole image run because",
    ]  # fmt: skip
    cells = shown.run("[...document.querySelector('.sortable tbody tr').cells].map(cell => cell.innerText)")
    # 12 * 16 * 20 - 192 and 4 * 6 * 8 voxels of 16 mm³; 12 by 16 mm
    assert cells == ["tumour", "58.4", "3.1", "1", "3.1", "20.0", "12", "52", "1 min 01 s", ""]
    shown.run("document.querySelectorAll('.sortable thead button')[3].click()")
    assert shown.run(first)[-1] == "many"  # 12 lesions
    links = "[...document.querySelectorAll('.sortable tbody a')]"
    assert shown.run(f"{links}.every(a => document.querySelector(a.hash).innerText.startsWith(a.innerText))")


def test_the_card_of_a_case_says_what_was_measured_and_left_out(shown):
    text = card_text(shown, "tumour")
    assert "12 of 64 run, 52 left out; 27 in the coarse pass; 123 forward passes, 512 for the whole" in text
    assert "not measured for this model" in text
    assert "2.3 GB" in text
    # mean voxel (9.5, 16.5, 19.5) from the first at 0
    assert re.search(r"1\s+tumour\s+3\.1\s+192\s+20\.0\s+L 39 P 33 S 38\s+0\.70\s+0\.70", text)
    assert "run, because the coarse pass found nothing" in card_text(shown, "nothing")


def test_lesions_beyond_the_largest_are_counted(shown):
    text = card_text(shown, "many")
    assert "Not drawn: 7 smaller lesions." in text
    assert "Not in this table: 2 smaller lesions." in text


def test_a_case_without_an_image_or_a_finding_says_so(shown):
    assert "There is no picture: the image of this case cannot be found." in card_text(shown, "gone")
    assert "3.1 mL" in card_text(shown, "gone")
    assert "Nothing was found: every voxel is background." in card_text(shown, "nothing")
    assert "pancreas (none)" in card_text(shown, "nothing")
    assert "tumour (none)" in card_text(shown, ODD)
    assert "Lesions" not in card_text(shown, ODD)


def test_failed_cases_are_listed_with_the_reason(shown):
    text = shown.run("document.querySelector('.failures').innerText")
    assert "broken" in text
    assert "The image <broken> is cut short. Copy it again." in text


@pytest.mark.parametrize("width", [400, 1200])
def test_nothing_is_wider_than_the_window(shown, width):
    shown.call(
        "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
    )
    assert shown.run("document.documentElement.scrollWidth") <= width


def test_cards_fit_on_a_sheet_of_paper(shown):
    shown.print_on_a4()
    assert shown.run("document.documentElement.scrollWidth") <= 718
    heights = shown.run("[...document.querySelectorAll('.card')].map(card => card.offsetHeight)")
    assert len(heights) == 5
    assert max(heights) <= 1047


def test_regions_of_several_values_are_drawn(browser, tmp_path):
    labels = {"background": 0, "whole pancreas": [1, 2], "tumour": [2]}
    target = write_one(tmp_path, WITH_TUMOUR, labels=labels)
    with browser.open(target) as shown:
        assert shown.errors == []
        text = card_text(shown, "one")
    assert "61.4 mL" in text  # 12 * 16 * 20 voxels of 16 mm³
    assert "The whole image, through the centre of whole pancreas" in text


def test_a_2d_image_has_no_volumes(browser, tmp_path):
    target = write_one(tmp_path, WITH_TUMOUR[9:10], ending=".png")
    with browser.open(target) as shown:
        assert shown.errors == []
        text = shown.run("document.body.innerText")
        sizes = shown.run("[...document.images].map(i => i.naturalWidth)")
    assert "There are no volumes: the images have no thickness or no spacing." in text
    assert "mL" not in text
    assert re.search(r"1\s+tumour\s+48\s+0\.70", text)  # 6 by 8 pixels
    assert len(sizes) == 2


def test_an_unreadable_image_is_named_without_its_folder(tmp_path):
    image, label_map = write_case(tmp_path / "data", "one", WITH_TUMOUR)
    image.write_bytes(b"no image")
    target = tmp_path / "page.html"
    write_prediction_page(
        target,
        [record_of("one", label_map, WITH_TUMOUR)],
        images={"one": image},
        label_maps={"one": label_map},
        labels=LABELS,
        is_ct=True,
    )
    text = target.read_text(encoding="utf-8")
    assert "There is no picture. Cannot read the image one_0000.nii.gz" in text
    assert str(tmp_path) not in text


def test_an_image_on_another_grid_is_not_drawn(tmp_path):
    image, _ = write_case(tmp_path / "data", "other", ORGAN[:12])
    _, label_map = write_case(tmp_path / "data", "one", WITH_TUMOUR)
    target = tmp_path / "page.html"
    write_prediction_page(
        target,
        [record_of("one", label_map, WITH_TUMOUR)],
        images={"one": image},
        label_maps={"one": label_map},
        labels=LABELS,
        is_ct=True,
    )
    assert (
        "There is no picture. The label map one.nii.gz and the image differ in geometry: size"
        in target.read_text(encoding="utf-8")
    )


def test_a_page_of_failures_alone(tmp_path):
    target = tmp_path / "page.html"
    write_prediction_page(
        target, [], images={}, label_maps={}, labels=LABELS, is_ct=True, failures={"a": "It is empty."}
    )
    text = target.read_text(encoding="utf-8")
    assert "<title>Prediction of 1 case</title>" in text
    assert "No case was predicted." in text


def test_a_model_without_lesion_labels_has_no_column_of_lesions(browser, tmp_path):
    target = write_one(tmp_path, ORGAN, options={"lesions": []})
    with browser.open(target) as shown:
        headings = shown.run("document.querySelector('.sortable thead').innerText")
        numbers = shown.run("document.querySelector('main > section').innerText")
        text = shown.run("document.body.innerText")
    assert "lesion" not in headings
    assert "lesion" not in numbers
    assert "No lesions are listed: no label's name means a lesion." in text


def test_many_labels_keep_their_volumes_and_legend_short(browser, tmp_path):
    labels = {"background": 0, **{f"organ {value}": value for value in range(1, 101)}, "tumour": 101}
    target = write_one(tmp_path, ORGAN * 50, labels=labels)
    with browser.open(target) as shown:
        legend = shown.run("document.querySelector('.legend').innerText")
        headings = shown.run("[...document.querySelectorAll('.sortable thead th')].length")
        text = shown.run("document.body.innerText")
    assert legend.split("\n") == ["organ 50"]
    assert headings == 1 + 8 + 1 + 4  # case, volumes, lesions, what was run
    assert "Volumes of 93 further labels: see each case." in text
    assert re.search(r"organ 50\s+61\.4 mL\s+not found\s+100 labels", text)


def test_a_page_that_cannot_be_written_is_an_error_for_users(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(PancextError, match=r"cannot write .*page\.html"):
        write_prediction_page(
            tmp_path / "file" / "page.html", [], images={}, label_maps={}, labels=LABELS, is_ct=True
        )


def test_pictures_of_whole_images_come_before_those_of_lesions():
    def most(cases, lesions):
        return pictures_of_each([{"lesions": [{}] * lesions}] * cases)

    assert most(2, 9) == [6, 6]
    assert sum(most(100, 3)) == 300
    assert most(100, 3) == [4] * 66 + [3] + [1] * 33
    assert most(301, 1) == [1] * 300 + [0]


def test_places_have_the_patients_directions():
    assert place_text([-12.4, 40, -3]) == "R 12 P 40 I 3"
    assert place_text([1, -40.6, 3]) == "L 1 A 41 S 3"
    assert place_text([5, 7]) == "5 x 7"
    assert place_text(None) == "–"  # noqa: RUF001


WINDOWS = {"run": 12, "left_out": 52, "coarse": 0}


def facts_of(**changed):
    return dict(run_facts({"speed": "balanced", "windows": WINDOWS, "seconds": {}, **changed}))


def test_the_facts_of_a_run_of_two_stages():
    windows = {"run": 3, "left_out": 1}
    stages = [{"configuration": name, "windows": windows} for name in ("3d_lowres", "3d_cascade_fullres")]
    facts = facts_of(growths=2, stages=stages)
    assert (
        facts["growth"] == "2 rounds of further windows, because the foreground reached the edge of those run"
    )
    assert facts["3d_lowres"] == "3 of 4 run, 1 left out"
    assert facts["change of Dice"] == "not measured for this model"


def test_windows_of_fast_are_not_called_nnunets():
    assert facts_of(speed="fast")["windows"] == "12 own windows run; nnU-Net's prediction has 64"


def test_the_change_of_dice_is_that_of_the_self_test():
    def labels(mean, loss):
        return {"labels": {"tumour": {"dice_change": {"mean": mean, "sd": None, "largest_loss": loss}}}}

    measured = {"cases": 8, **labels(-0.0012, 0.004), "shifted_grid": labels(0.01, 0.0)}
    assert facts_of(self_test=measured)["change of Dice"] == (
        "tumour \N{MINUS SIGN}0.0012 (largest loss 0.0040); mean of 8 validation cases; "
        "nnU-Net's own prediction on a shifted grid: tumour +0.0100"
    )
    assert facts_of(self_test=measured, speed="exact")["change of Dice"] == "none"
