"""`pancext campaign run` on this machine: order, side by side, failures, two runs at once, and bad input."""

import io
import re
import signal
import threading
from pathlib import Path

import pytest
from contracts.script_step import GENTLE, GpuScriptStep, ScriptStep, make_campaign, notes, start_run, until

from nnunet_pancext.campaign.lease import current_owner
from nnunet_pancext.campaign.local import gpus
from nnunet_pancext.campaign.local.run import run_local
from nnunet_pancext.campaign.record import (
    lease_file,
    read_record,
    state_file,
)
from nnunet_pancext.campaign.run import run_campaign
from nnunet_pancext.cli.main import main


def cli(folder: Path, *words: str) -> int:
    return main(["campaign", "run", str(folder), *words])


DIAMOND = [
    ScriptStep(name="a"),
    GpuScriptStep(name="b", needs=("a",)),
    ScriptStep(name="c", needs=("a",), words=("something to know",)),
    ScriptStep(name="d", needs=("b", "c")),
]


def test_every_step_is_run_after_what_it_needs_and_the_result_is_named(folder: Path, capsys):
    make_campaign(folder, DIAMOND)
    assert cli(folder) == 0
    done = notes(folder)
    assert sorted(done) == sorted(f"{name} {what}" for name in "abcd" for what in ("started", "finished"))
    assert done[:2] == ["a started", "a finished"]
    assert done[-2:] == ["d started", "d finished"]
    shown = capsys.readouterr().out
    assert "4 steps, 0 already done" in shown
    assert "[1/4] a: started\n" in shown
    assert re.search(r"\[4/4\] d: done in \d", shown)
    assert "      something to know\n" in shown
    assert re.search(r"4 of 4 steps done; \d.* s, sum of the steps' times \d", shown)
    assert shown.rstrip().endswith(f"result: {folder / 'd.out'}")
    assert shown.count("result:") == 1
    assert not list((folder / "state").rglob("*.lease"))


def test_a_second_run_finds_nothing_to_do(folder: Path, capsys):
    make_campaign(folder, DIAMOND)
    assert run_local(folder) == 0
    capsys.readouterr()
    assert run_local(folder) == 0
    assert "4 steps, 4 already done" in capsys.readouterr().out
    assert len(notes(folder)) == 8


def test_what_was_done_outside_is_kept_and_recorded(folder: Path):
    make_campaign(folder, DIAMOND)
    (folder / "a.out").touch()
    assert run_local(folder) == 0
    assert "a started" not in notes(folder)
    assert list(read_record(folder, "a").begun) == ["a.out"]


def test_a_gpu_step_and_another_run_side_by_side_and_two_of_a_kind_do_not(folder: Path):
    wait_for_both = "note('up'); wait_for('b.up'); wait_for('c.up'); finish('x')"
    both = [
        GpuScriptStep(name="b", code=f"(folder / 'b.up').touch(); {wait_for_both}"),
        ScriptStep(name="c", code=f"(folder / 'c.up').touch(); {wait_for_both}"),
    ]
    others = [GpuScriptStep(name="x"), GpuScriptStep(name="y"), ScriptStep(name="z")]
    make_campaign(folder, [*both, *others])
    assert run_local(folder) == 0
    for pair in (("b", "x", "y"), ("c", "z")):
        of_kind = [note for note in notes(folder) if note[0] in pair and not note.endswith("up")]
        assert of_kind[1::2] == [note.replace("started", "finished") for note in of_kind[::2]]


def test_each_gpu_gets_a_step_of_its_own(folder: Path, monkeypatch):
    wait_for_both = "(folder / f'{name}.up').touch(); wait_for('a.up'); wait_for('b.up');"
    code = f"{wait_for_both} finish(os.environ['CUDA_VISIBLE_DEVICES'])"
    make_campaign(folder, [GpuScriptStep(name=name, code=code) for name in "ab"], device="cuda")
    monkeypatch.setattr(gpus, "_visible_gpus", lambda: ["3", "5", "7"])
    assert run_local(folder, gpus=2) == 0
    used = {(folder / f"{name}.out").read_text(encoding="utf-8") for name in "ab"}
    assert used == {"3", "5"}
    assert {read_record(folder, name).attempts[0].gpu for name in "ab"} == {"3", "5"}


@pytest.mark.parametrize(
    ("visible", "expected"), [(None, ["0", "1"]), ("5,GPU-8a", ["5", "GPU-8a"]), ("1", ["1"])]
)
def test_gpus_are_called_as_in_cuda_visible_devices(monkeypatch, visible, expected):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr("torch.cuda.device_count", lambda: len(expected))
    assert gpus.gpu_slots("cuda", None) == expected


@pytest.mark.parametrize(
    ("device", "words", "message"),
    [
        ("cuda", [], r"the campaign needs device cuda, but pytorch finds no gpu here. run `pancext doctor`"),
        ("cpu", ["--gpus", "0"], r"--gpus is 0; give a number from 1"),
        ("cpu", ["--gpus", "1"], r"--gpus is for gpus, and the campaign's device is cpu. omit it"),
        ("cpu", ["--on", "slurm", "--gpus", "1"], r"--gpus is for this machine; on slurm give --gres"),
    ],
)
def test_gpus_that_cannot_be_had_are_refused_before_anything_starts(
    folder: Path, monkeypatch, capsys, device: str, words: list[str], message: str
):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    make_campaign(folder, [ScriptStep(name="a"), GpuScriptStep(name="b")], device=device)
    assert cli(folder, *words) == 1
    assert re.search(message, capsys.readouterr().err.lower())
    assert notes(folder) == []


def test_more_gpus_than_there_are_are_refused(folder: Path, monkeypatch, capsys):
    monkeypatch.setattr(gpus, "_visible_gpus", lambda: ["0", "1"])
    make_campaign(folder, [GpuScriptStep(name="b")], device="cuda")
    assert cli(folder, "--gpus", "3") == 1
    assert "--gpus is 3, but there are 2 here: 0, 1." in capsys.readouterr().err


def test_a_campaign_without_gpu_steps_needs_no_gpu(folder: Path, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    make_campaign(folder, [ScriptStep(name="a")], device="cuda")
    assert run_local(folder) == 0


FAILING = [
    ScriptStep(
        name="a", code="print('the reason'); (folder / 'mended').exists() or sys.exit(3); finish('x')"
    ),
    ScriptStep(name="b", needs=("a",)),
    ScriptStep(name="c"),
]


def test_a_failed_step_does_not_stop_what_does_not_need_it(folder: Path, capsys):
    make_campaign(folder, FAILING)
    assert cli(folder) == 1
    assert notes(folder) == ["a started", "c started", "c finished"]
    shown = capsys.readouterr().out
    assert "ended with exit code 3. Its last lines" in shown
    assert "\n        | the reason\n" in shown
    assert f"failed: a; see {folder / 'logs' / 'a.txt'}" in shown
    assert "1 of 3 steps done, 1 failed, 1 waiting" in shown
    (folder / "mended").touch()
    assert cli(folder) == 0
    assert notes(folder)[3:] == ["a started", "a finished", "b started", "b finished"]


def test_what_the_outputs_say_is_wrong_is_reported(folder: Path, capsys):
    make_campaign(folder, [ScriptStep(name="a"), ScriptStep(name="b")])
    state_file(folder, "a").parent.mkdir()
    state_file(folder, "a").write_text("{", encoding="utf-8")
    assert cli(folder) == 1
    assert "a.json is not JSON" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], r"There is no .*nowhere.campaign\.toml"),
        (["there", "--on", "moon"], "invalid choice: 'moon'"),
    ],
)
def test_a_wrong_command_is_refused(tmp_path: Path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    try:
        code = main(["campaign", "run", *words])
    except SystemExit as ended:
        code = ended.code
    assert code in (1, 2)
    assert re.search(message, capsys.readouterr().err)


def test_a_folder_that_cannot_be_written_is_reported(folder: Path, capsys):
    make_campaign(folder, [ScriptStep(name="a")])
    (folder / "state").touch()
    assert cli(folder) == 1
    assert re.search(r"Cannot write .*state", capsys.readouterr().err)


def test_changed_options_are_listed_and_done_again_only_when_asked_for(folder: Path, capsys):
    make_campaign(folder, DIAMOND)
    assert run_campaign(folder) == 0
    changed = [ScriptStep(name="a", code="finish('y')"), *DIAMOND[1:]]
    make_campaign(folder, changed)
    capsys.readouterr()
    assert cli(folder) == 1
    errors = capsys.readouterr().err
    assert """a: code "finish('x')" -> "finish('y')"\n""" in errors
    assert "and steps that depend on it: b, c, d" in errors
    assert "--redo, which sets the former results aside and deletes nothing" in errors
    assert len(notes(folder)) == 8
    assert cli(folder, "--redo") == 0
    assert "Set aside, and done again: a, b, c, d" in capsys.readouterr().out
    assert (folder / "a.out").read_text(encoding="utf-8") == "y"
    assert (folder / "former-1-a.out").read_text(encoding="utf-8") == "x"
    assert len(notes(folder)) == 16


def test_a_relative_folder_does(folder: Path, monkeypatch):
    make_campaign(folder, [ScriptStep(name="a")])
    monkeypatch.chdir(folder.parent)
    assert cli(Path(folder.name)) == 0


def test_progress_is_shown_when_nothing_else_is(folder: Path, monkeypatch, capsys):
    monkeypatch.setenv("PANCEXT_PROGRESS_SECONDS", "0.01")
    code = "print('progress one'); time.sleep(0.1); print('x'); wait_for('go'); finish('x')"
    make_campaign(folder, [ScriptStep(name="a", code=code)])
    with start_run(folder) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert any(line == "[1/1] a: one\n" for line in lines)
        (folder / "go").touch()
        rest = process.stdout.read()
    assert process.returncode == 0
    assert "a: one" not in rest  # once is enough


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_all_running_steps_in_one_line(folder: Path, monkeypatch):
    code = "print(f'progress {name} here'); wait_for('go'); finish('x')"
    make_campaign(folder, [ScriptStep(name="a", code=code), GpuScriptStep(name="b", code=code)])
    monkeypatch.setattr("sys.stdout", terminal := Terminal())
    monkeypatch.setenv("COLUMNS", "80")

    def end() -> None:
        until(lambda: "[1/2] a here | [2/2] b here" in terminal.getvalue())
        (folder / "go").touch()

    (thread := threading.Thread(target=end)).start()
    assert run_local(folder) == 0
    thread.join()


def test_a_second_ctrl_c_does_not_wait(folder: Path):
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN); note('deaf'); wait_for('go'); finish('x')"
    make_campaign(folder, [ScriptStep(name="a", code=deaf)])
    with start_run(folder) as process:
        until(lambda: "a deaf" in notes(folder))
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert any(
            "[1/1] a: ending; a training saves its state first" in line
            for line in iter(process.stdout.readline, "")
        )
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 130
    assert current_owner(lease_file(folder, "a")) is not None
    (folder / "go").touch()
    until(lambda: current_owner(lease_file(folder, "a")) is None)
    assert (folder / "a.out").is_file()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_steps_gently_and_the_next_run_goes_on(folder: Path, number: int, code: int):
    make_campaign(
        folder,
        [
            GpuScriptStep(name="a", code=f"{GENTLE} wait_for('go'); finish('x')"),
            ScriptStep(name="b", code=f"{GENTLE} wait_for('go'); finish('x')"),
            ScriptStep(name="c", needs=("a",)),
        ],
    )
    with start_run(folder) as process:
        until(lambda: {"a ready", "b ready"} <= set(notes(folder)))
        process.send_signal(number)
        assert process.stdout is not None
        shown = process.stdout.read()
    assert process.returncode == code
    assert {"a saved", "b saved"} <= set(notes(folder))
    assert f"Stopped. `pancext campaign run {folder}` resumes where it stopped." in shown
    assert read_record(folder, "a").last.outcome == "interrupted"
    (folder / "go").touch()
    assert run_local(folder) == 0
