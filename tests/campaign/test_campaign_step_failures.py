"""What is said of a step that fails, or whose files cannot be read or written."""

from pathlib import Path

import pytest
from contracts.script_step import ScriptStep, make_campaign

from nnunet_pancext.campaign.attempt import step_process
from nnunet_pancext.campaign.attempt.execute import run_step
from nnunet_pancext.campaign.record import lease_file, log_file, read_record, state_file
from nnunet_pancext.errors import PancextError


def run(folder: Path):
    return run_step(folder, "a", place="local")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "print('why'); sys.exit(3)",
            r"(?s)^the script step ended with exit code 3\. .*a\.txt\):\n  \| why$",
        ),
        ("print('nothing')", r"ended without an error, but .*a\.out is missing or incomplete"),
        (
            "raise OSError(28, os.strerror(28))",
            r"(?s)No space left on device\nA disk is full. Free some space",
        ),
        ("sys.exit(3)", r"ended with exit code 3\. It has printed nothing\."),
        ("print('\\x1b[2J'); sys.exit(3)", r"\| \?\[2J"),
        ("print('CUDA out of memory'); sys.exit(1)", r"(?s)GPU ran out of memory.* -gpu_memory_target"),
        ("os.kill(os.getpid(), 9)", r"(?s)was ended by signal 9\..*main memory is full.*nnUNet_n_proc_DA"),
        ("os.kill(os.getpid(), 11)", r"was ended by signal 11\."),
    ],
    ids=[
        "exit code",
        "no output",
        "full disk",
        "silent",
        "terminal codes",
        "GPU memory",
        "killed",
        "crashed",
    ],
)
def test_a_failure_says_why(folder: Path, code: str, message: str):
    make_campaign(folder, [ScriptStep(name="a", code=code)])
    attempt = run(folder)
    assert attempt.outcome == "failed"
    with pytest.raises(PancextError, match=message):
        raise PancextError(attempt.message)
    assert read_record(folder, "a").last == attempt


def test_only_the_last_lines_of_a_failure_are_shown(folder: Path):
    make_campaign(folder, [ScriptStep(name="a", code="for i in range(20): print(i)\nsys.exit(1)")])
    assert run(folder).message.split("\n")[1:] == [f"  | {number}" for number in range(5, 20)]


def test_a_step_that_was_done_when_it_failed_is_done(folder: Path):
    make_campaign(folder, [ScriptStep(name="a", code="finish('x'); sys.exit(1)")])
    attempt = run(folder)
    assert (attempt.outcome, attempt.exit_code) == ("done", 1)


def test_a_full_disk_does_not_end_a_step(folder: Path, capfd):
    make_campaign(folder, [ScriptStep(name="a", code="print('x'); finish('x')")])
    log_file(folder, "a").parent.mkdir()
    log_file(folder, "a").symlink_to("/dev/full")
    assert run(folder).outcome == "done"
    assert "a.txt: No space left on device. Check the folder and its disk's space" in capfd.readouterr().err


def test_a_record_that_cannot_be_written_does_not_end_a_step(folder: Path, monkeypatch, capfd):
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    make_campaign(folder, [ScriptStep(name="a")])
    monkeypatch.setattr(step_process, "write_record", refuse)
    assert run(folder).outcome == "done"
    assert "Cannot write the record of step a: No space left on device" in capfd.readouterr().err
    assert (folder / "a.out").is_file()


def test_a_folder_that_cannot_be_written_is_reported(folder: Path):
    make_campaign(folder, [ScriptStep(name="a")])
    (folder / "state").touch()
    with pytest.raises(PancextError, match=r"Cannot write .*state"):
        run(folder)


def test_a_broken_record_is_reported_before_the_step_starts(folder: Path):
    make_campaign(folder, [ScriptStep(name="a")])
    state_file(folder, "a").parent.mkdir()
    state_file(folder, "a").write_text("{", encoding="utf-8")
    with pytest.raises(PancextError, match=r"a\.json is not JSON(?s:.*)Remove it"):
        run(folder)
    assert not lease_file(folder, "a").exists()


def test_a_program_that_is_not_installed_fails_the_step(folder: Path, monkeypatch):
    make_campaign(folder, [ScriptStep(name="a")])
    monkeypatch.setattr(ScriptStep, "command", lambda *_: ["nnUNetv2_nope"])
    attempt = run(folder)
    assert attempt.outcome == "failed"
    assert "nnUNetv2_nope. Is it installed beside this Python? Run `pancext doctor`" in attempt.message
    assert read_record(folder, "a").last == attempt
