"""`status.html`."""

import math
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from contracts.chromium import Browser
from contracts.made_campaign import STARTED, MadeStep, attempt

from nnunet_pancext.campaign.measured import Measured
from nnunet_pancext.campaign.record import Record
from nnunet_pancext.campaign.status.page import HEIGHT, MOST_POINTS, WIDTH, curve_of, write_status_page
from nnunet_pancext.campaign.status.summary import STATES, Row, Status

EVIL = "<script>alert('x')</script>&\""


def row(state: str, details: str = "", **others: object) -> Row:
    step = MadeStep(name=f"step-{state}", dataset="007")
    return Row(step=step, state=state, details=details, **others)  # type: ignore[arg-type]


def page_of(
    folder: Path, rows: Sequence[Row], *, refresh_s: int | None = None, problems: Sequence[str] = ()
) -> str:
    status = Status(folder=folder, rows=rows, made_at=STARTED, problems=problems)
    path = write_status_page(status, refresh_s=refresh_s)
    assert path == folder / "status.html"
    return path.read_text(encoding="utf-8")


def test_it_shows_every_step_with_its_state_and_details(tmp_path: Path) -> None:
    page = page_of(tmp_path, [row(state, f"details of {state}") for state in STATES])

    for state in STATES:
        assert f"step-{state}" in page.replace("<wbr>", "")
        assert f"details of {state}" in page
        assert f"</span>1 {state}</li>" in page
        assert f"--{state}: #" in page
    assert "Dataset 007" in page
    assert f"1 of {len(STATES)}" in page


def test_everything_is_escaped(tmp_path: Path) -> None:
    record = Record(attempts=(attempt("failed", message=EVIL, host=EVIL), attempt("failed", gpu=EVIL)))
    folder = tmp_path / "<b>campaign"
    folder.mkdir()
    measured = Measured(text=EVIL, pseudo_dice=[0.5])
    evil = row("failed", EVIL, log=[EVIL], record=record, measured=measured)

    page = page_of(folder, [evil], problems=[EVIL])

    assert "<script" not in page
    assert "<b>campaign" not in page
    assert page.count("&lt;script&gt;") >= 5


def test_a_failed_step_shows_its_log(tmp_path: Path) -> None:
    page = page_of(tmp_path, [row("failed", log=["first line", "last line"])])

    assert "<details open>" in page
    assert "<pre>first line\nlast line</pre>" in page


def test_several_attempts_are_listed(tmp_path: Path) -> None:
    attempts = (
        attempt("failed", message="Disk full."),
        attempt(None, after=2, host="node2", job="17", restarts=3, place="slurm", gpu="1"),
    )

    page = page_of(tmp_path, [row("running", record=Record(attempts=attempts))])

    items = re.findall("<li>(20.*)</li>", page)
    assert [item.partition("; ")[2] for item in items] == [
        "node1; failed after 1 h 00 min; Disk full.",
        "node2, Slurm job 17, GPU 1; not ended; requeued 3 times",
    ]


def test_it_is_loaded_again_only_while_it_is_watched(tmp_path: Path) -> None:
    assert '<meta http-equiv="refresh" content="10">' in page_of(tmp_path, [row("running")], refresh_s=10)
    assert "refresh" not in page_of(tmp_path, [row("running")])


def test_what_could_not_be_read_is_said_at_the_top(tmp_path: Path) -> None:
    page = page_of(tmp_path, [row("ready")], problems=["The queue is not known."])

    assert "<li>The queue is not known.</li>" in page


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_in_a_read_only_folder_nothing_is_written(tmp_path: Path) -> None:
    status = Status(folder=tmp_path, rows=[row("ready")], made_at=STARTED)
    tmp_path.chmod(0o500)

    assert write_status_page(status) is None


def test_where_nothing_can_be_written_the_old_page_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = page_of(tmp_path, [row("ready")])

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full_disk)
    status = Status(folder=tmp_path, rows=[row("done")], made_at=STARTED)

    assert write_status_page(status) is None
    assert [path.name for path in tmp_path.iterdir()] == ["status.html"]
    assert (tmp_path / "status.html").read_text(encoding="utf-8") == page


@pytest.mark.parametrize("measured", [None, Measured(text=""), Measured(text="", pseudo_dice=[math.nan])])
def test_without_a_value_there_is_no_curve(measured: Measured | None) -> None:
    assert curve_of(measured) is None


def test_a_curve_ends_where_the_training_is() -> None:
    curve = curve_of(Measured(text="", pseudo_dice=[0.0, math.nan, 1.0], epochs=5))

    assert curve is not None
    assert curve.points == f"2.0,{HEIGHT - 2:.1f} {2 + (WIDTH - 6) / 2:.1f},2.0"
    assert curve.end == (2 + (WIDTH - 6) / 2, 2)
    assert curve.text == "pseudo Dice by epoch: 0.000 to 1.000, at most 1.000"


@pytest.mark.parametrize("number", [1, 2, MOST_POINTS, MOST_POINTS + 1, 1000, 2000])
@pytest.mark.parametrize("epochs", [None, 1000])
def test_a_curve_has_few_points_within_its_frame(number: int, epochs: int | None) -> None:
    curve = curve_of(Measured(text="", pseudo_dice=[0.5 + n % 3 for n in range(number)], epochs=epochs))

    assert curve is not None
    points = [tuple(map(float, point.split(","))) for point in curve.points.split()]
    assert len(points) <= MOST_POINTS
    assert points[-1] == pytest.approx(curve.end, abs=0.1)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)


def test_no_screen_and_no_paper_is_too_narrow_for_it(tmp_path: Path, browser: Browser) -> None:
    measured = Measured(text="", pseudo_dice=[0.1, 0.5, 0.6], epochs=10)
    log = ["x" * 300]
    name = "train-007-AttentionUNetTrainer_500epochs-nnUNetPlans-3d_fullres-0"
    rows = [row(state, f"for {name}", measured=measured, log=log) for state in STATES]
    rows = [replace(one, step=MadeStep(name=f"{name}{n}", dataset="007")) for n, one in enumerate(rows)]
    page_of(tmp_path, rows)

    with browser.open(tmp_path / "status.html") as page:
        for width in (1200, 400):
            page.call(
                "Emulation.setDeviceMetricsOverride",
                width=width,
                height=900,
                deviceScaleFactor=1,
                mobile=False,
            )
            assert page.run("document.documentElement.scrollWidth") <= width
        page.print_on_a4()
        assert page.run("document.documentElement.scrollWidth") <= 718
        assert page.errors == []
