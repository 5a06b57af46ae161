import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from nnunet_pancext.demo.page import write_report
from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.scores import CaseScores
from nnunet_pancext.io.durations import duration_text
from nnunet_pancext.nnunet_commands.runner import CommandRecord
from nnunet_pancext.pages import page
from nnunet_pancext.pages.numbers import volume_text
from nnunet_pancext.pages.pictures import Chart

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Checks that elements nest, and collects the texts, the links and the sources."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.feed(content)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def arguments(scores: list[CaseScores], labels: dict[str, int], tmp_path: Path) -> dict[str, Any]:
    picture = tmp_path / "case_1.png"
    picture.write_bytes(b"\x89PNG made up")
    return {
        "title": "Demo",
        "facts": [("Trainer", "nnUNetTrainerX")],
        "scores": scores,
        "labels": labels,
        "overlays": {"case_1": picture},
        "commands": [CommandRecord(title="Train", command="nnUNetv2_train 901", seconds=75)],
        "training": {"Loss": Chart(svg="<svg/>", text="loss by epoch; training: -0.7 to 0.1")},
        "notes": ["case_1 was also trained on"],
    }


def report(tmp_path: Path, arguments: dict[str, Any]) -> str:
    target = tmp_path / "report.html"
    write_report(target, **arguments)
    return target.read_text(encoding="utf-8")


def test_page_is_well_formed_and_holds_all_that_was_given(tmp_path: Path, arguments: dict[str, Any]) -> None:
    text = Page(report(tmp_path, arguments)).text
    for expected in (
        "Demo",
        "case_1 was also trained on",
        "nnUNetTrainerX",
        "nnUNetv2_train 901",
        "1 min 15 s",
        "Mean Dice, foreground0.875over 2 cases",
        "Mean Dice, tumour0.250over 1 case of 2",
    ):
        assert expected in text


def test_table_shows_dice_and_volumes(tmp_path: Path, arguments: dict[str, Any]) -> None:
    content = report(tmp_path, arguments)
    rows = [re.findall(r"<t[hd][^>]*>([^<]*)", row) for row in re.findall("<tr>(.*?)</tr>", content)]
    assert ["case_1", "0.812", "71.5", "82.5", "0.750", "70.0", "80.0", "0.250", "0.042", "2.5"] in rows
    assert ["Mean", "0.875", "", "", "0.844", "", "", "0.250", "", ""] in rows


def test_undefined_dice_is_an_explained_dash(tmp_path: Path, arguments: dict[str, Any]) -> None:
    content = report(tmp_path, arguments)
    assert '<td class="dice">\N{EN DASH}</td><td>0.0</td><td>0.0</td>' in content
    assert "\N{EN DASH}: the label is in neither the prediction nor the ground truth" in content
    assert ">nan<" not in content


def test_page_needs_nothing_beside_itself(tmp_path: Path, arguments: dict[str, Any]) -> None:
    content = report(tmp_path, arguments)
    page = Page(content)
    overlay = "data:image/png;base64," + base64.b64encode(b"\x89PNG made up").decode()
    chart = "data:image/svg+xml;base64," + base64.b64encode(b"<svg/>").decode()
    assert page.addresses == [overlay, chart]
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert not re.search(r"https?://|url\(|@import", content)


def test_all_texts_are_escaped(tmp_path: Path, arguments: dict[str, Any], scores: list[CaseScores]) -> None:
    mark = "<b a='1'>&\"$title"
    renamed = {
        f"{name}{mark}" if name == "tumour" else name: values for name, values in scores[0].labels.items()
    }
    arguments |= {
        "title": mark,
        "facts": [(mark, mark)],
        "notes": [mark],
        "commands": [CommandRecord(title=mark, command=mark, seconds=1)],
        "scores": [CaseScores(case=mark, labels=renamed)],
        "labels": {"background": 0, "pancreas": 1, f"tumour{mark}": 2},
        "overlays": {mark: arguments["overlays"]["case_1"]},
    }
    content = report(tmp_path, arguments)
    assert "<b a=" not in content
    # title twice, note, fact twice, command twice, headline, table head, row, figure caption twice
    assert Page(content).text.count(mark) == 12


def test_parts_without_content_are_left_out(tmp_path: Path, arguments: dict[str, Any]) -> None:
    arguments |= {
        "facts": [],
        "scores": [],
        "overlays": {},
        "commands": [],
        "training": {},
        "notes": [],
    }
    page = Page(report(tmp_path, arguments))
    assert "No case was scored." in page.text
    assert page.tags.count("section") == 1
    assert not {"table", "figure", "aside"} & set(page.tags)


def test_one_label_has_one_headline(
    tmp_path: Path, arguments: dict[str, Any], scores: list[CaseScores]
) -> None:
    arguments |= {
        "labels": {"background": 0, "pancreas": 1},
        "scores": [
            CaseScores(case=case.case, labels={"pancreas": case.labels["pancreas"]}) for case in scores
        ],
    }
    text = Page(report(tmp_path, arguments)).text
    assert text.count("Mean Dice") == 1
    assert "foreground" not in text


def test_an_overlay_of_an_unscored_case_says_so(tmp_path: Path, arguments: dict[str, Any]) -> None:
    arguments["overlays"] = {"case_9": arguments["overlays"]["case_1"]}
    assert "case_9 · not scored" in Page(report(tmp_path, arguments)).text


def test_a_missing_picture_leaves_the_old_report(tmp_path: Path, arguments: dict[str, Any]) -> None:
    target = tmp_path / "report.html"
    target.write_text("old", encoding="utf-8")
    arguments["overlays"] = {"case_1": tmp_path / "absent.png"}
    with pytest.raises(PancextError, match=r"The image .*absent\.png does not exist"):
        write_report(target, **arguments)
    assert target.read_text(encoding="utf-8") == "old"


def test_a_failed_write_leaves_the_old_report_and_no_partial_one(
    tmp_path: Path, arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "report.html"
    target.write_text("old", encoding="utf-8")

    monkeypatch.setattr(page, "render_page", lambda *_, **__: "\ud800")  # cannot be encoded
    with pytest.raises(UnicodeEncodeError):
        write_report(target, **arguments)
    assert target.read_text(encoding="utf-8") == "old"
    assert not list(tmp_path.glob(".partial-*"))


def test_refuses_unknown_pictures(tmp_path: Path, arguments: dict[str, Any]) -> None:
    arguments["overlays"] = {"case_1": tmp_path / "case_1.pdf"}
    with pytest.raises(PancextError, match=r"case_1\.pdf .* suffix '\.pdf' is not one of \.png"):
        report(tmp_path, arguments)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (59.96, "1 min 00 s"), (185, "3 min 05 s"), (7620, "2 h 07 min")],
)
def test_durations(seconds: float, expected: str) -> None:
    assert duration_text(seconds) == expected


@pytest.mark.parametrize(
    ("volume_ml", "expected"), [(0, "0.0"), (0.0421, "0.042"), (1.25, "1.2"), (80.0, "80.0")]
)
def test_volumes(volume_ml: float, expected: str) -> None:
    assert volume_text(volume_ml) == expected
