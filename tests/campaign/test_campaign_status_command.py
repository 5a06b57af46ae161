"""`pancext campaign status`."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from contracts.made_campaign import MadeStep, MadeTraining, attempt, made_campaign, record_attempts
from contracts.script_step import until

from nnunet_pancext.campaign.definition import SEED, Campaign, write_campaign
from nnunet_pancext.campaign.kinds.preprocess import Preprocess
from nnunet_pancext.campaign.status.watch import QUIET_LOOKS
from nnunet_pancext.cli.main import main
from nnunet_pancext.nnunet_files.folders import DUTIES

STEP = Preprocess(name="preprocess", dataset="Dataset007_Pancreas", configuration="2d")


@pytest.fixture
def campaign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Campaign:
    """A campaign of two trainings, in tmp_path / "C"."""
    monkeypatch.setattr(
        "nnunet_pancext.campaign.step.kinds", lambda: {"made": MadeStep, "train": MadeTraining}
    )
    for variable in (*DUTIES, SEED):
        monkeypatch.setenv(variable, "")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    Path("C").mkdir()
    made = made_campaign(Path("C").absolute())
    write_campaign(Path("C"), made)
    return made


def test_it_shows_the_table_and_writes_the_page(
    campaign: Campaign, capsys: pytest.CaptureFixture[str]
) -> None:
    record_attempts(Path("C"), campaign.steps[0], attempt("done"))

    assert main(["campaign", "status", "C"]) == 0

    out = capsys.readouterr().out.splitlines()
    assert out[0] == "Dataset 007"
    assert out[1].startswith("  done         preprocess-007-nnUNetPlans-3d_fullres")
    assert out[-3:] == [
        "1 of 5 steps done; 2 waiting, 2 ready.",
        "2 of 2 trainings left, of unknown duration.",
        "Page: C/status.html",
    ]
    page = Path("C/status.html").read_text(encoding="utf-8")
    assert "Campaign C" in page
    assert "refresh" not in page


def test_long_campaigns_are_shortened_unless_all_is_asked_for(
    campaign: Campaign, capsys: pytest.CaptureFixture[str]
) -> None:
    write_campaign(
        Path("C"), made_campaign(Path("C").absolute(), trainers=("A", "B", "D", "E", "F"), folds=5)
    )

    main(["campaign", "status", "C"])
    short = capsys.readouterr().out
    main(["campaign", "status", "C", "--all"])
    whole = capsys.readouterr().out

    assert "25 train steps" in short
    assert "train-007-B-nnUNetPlans-3d_fullres-3" in whole
    assert len(whole.splitlines()) > 2 * len(short.splitlines())


def test_a_folder_that_cannot_be_written_is_said(
    campaign: Campaign, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnunet_pancext.campaign.status.page.write_page", raise_read_only)

    assert main(["campaign", "status", "C"]) == 0
    assert capsys.readouterr().out.endswith("C/status.html cannot be written.\n")


def raise_read_only(*_: object, **__: object) -> None:
    raise OSError(30, "Read-only file system")


@pytest.mark.parametrize(
    ("outcome", "code", "ending"),
    [
        ("done", 0, "All steps are done."),
        (
            "failed",
            1,
            "Nothing is running, but not all steps are done. Continue with: pancext campaign run C",
        ),
    ],
)
def test_watch_ends_when_nothing_runs_any_more(
    campaign: Campaign,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    outcome: str,
    code: int,
    ending: str,
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    for step in campaign.steps:
        record_attempts(Path("C"), step, attempt(outcome))

    assert main(["campaign", "status", "C", "--watch"]) == code

    out = capsys.readouterr().out
    assert out.endswith(f"\n{ending}\n")
    assert out.count("Dataset 007") == 1
    assert len(pauses) == (0 if code == 0 else QUIET_LOOKS - 1)
    assert "refresh" not in Path("C/status.html").read_text(encoding="utf-8")


def test_an_interrupted_watch_leaves_a_page_that_is_not_loaded_again(
    campaign: Campaign, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def interrupt(_: float) -> None:
        seen.append(Path("C/status.html").read_text(encoding="utf-8"))
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupt)

    assert main(["campaign", "status", "C", "--watch"]) == 130

    assert 'http-equiv="refresh" content="10"' in seen[0]
    assert "refresh" not in Path("C/status.html").read_text(encoding="utf-8")


def test_a_watch_that_an_error_ends_leaves_a_page_that_is_not_loaded_again(
    campaign: Campaign, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: Path("C/campaign.toml").unlink())

    assert main(["campaign", "status", "C", "--watch"]) == 1

    assert "There is no C/campaign.toml" in capsys.readouterr().err
    assert "refresh" not in Path("C/status.html").read_text(encoding="utf-8")


WATCH = """\
import signal, sys
from nnunet_pancext.campaign.status import watch as status_watch
from nnunet_pancext.cli.main import main
status_watch.EVERY_S = 3600.0
signal.signal({number}, signal.SIG_DFL)
sys.exit(main(["campaign", "status", {folder!r}, "--watch"]))
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_watch_that_a_signal_ends_leaves_a_page_that_is_not_loaded_again(tmp_path: Path, name: str) -> None:
    write_campaign(tmp_path, replace(made_campaign(tmp_path), steps=(STEP,)))
    number = int(getattr(signal, name))
    page = tmp_path / "status.html"

    code = WATCH.format(number=number, folder=str(tmp_path))
    watching = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    try:
        until(lambda: page.is_file() and 'http-equiv="refresh"' in page.read_text(encoding="utf-8"))
        watching.send_signal(number)
        assert watching.wait(120) == 128 + number
    finally:
        watching.kill()

    assert "refresh" not in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "There is no C/campaign.toml. Give the folder of a campaign"),
        ("format = ", "C/campaign.toml is not TOML"),
        ("format = 99", "format is 99, and this version reads 1"),
    ],
)
def test_a_folder_without_a_readable_campaign_is_refused(
    campaign: Campaign, capsys: pytest.CaptureFixture[str], content: str | None, message: str
) -> None:
    Path("C/campaign.toml").unlink()
    if content is not None:
        Path("C/campaign.toml").write_text(content, encoding="utf-8")

    assert main(["campaign", "status", "C"]) == 1
    assert message in capsys.readouterr().err


def test_broken_files_spoil_no_other_row(campaign: Campaign, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("state", "logs", "slurm"):
        Path("C", folder).mkdir(exist_ok=True)
    name = campaign.steps[1].name
    Path("C/state", f"{name}.json").write_bytes(b"\xff{")
    Path("C/state", f"{campaign.steps[2].name}.lease").write_bytes(b"")
    Path("C/slurm/submissions.json").write_bytes(b"[")

    assert main(["campaign", "status", "C"]) == 0

    out = capsys.readouterr().out
    assert f"  unclear      {name}" in out
    assert "Slurm's queue could not be read: " in out


def test_neither_torch_nor_nnunet_is_imported(tmp_path: Path) -> None:
    """Their import takes seconds."""
    write_campaign(tmp_path, replace(made_campaign(tmp_path), steps=(STEP,)))
    code = f"""\
import sys
from nnunet_pancext.campaign.step import kinds
from nnunet_pancext.cli.main import main
kinds()
main(["campaign", "status", {str(tmp_path)!r}])
print(*sorted({{"torch", "nnunetv2", "matplotlib"}} & sys.modules.keys()))
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.endswith("status.html\n\n"), done
