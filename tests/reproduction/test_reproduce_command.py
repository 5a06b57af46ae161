"""`pancext reproduce` and what it answers to mistakes."""

import pytest

from nnunet_pancext.cli.main import main
from nnunet_pancext.nnunet_files.folders import DUTIES
from nnunet_pancext.reproduction.papers import PAPERS


def test_without_a_name_the_papers_are_listed(capsys):
    assert main(["reproduce"]) == 0
    shown = capsys.readouterr().out
    assert all(f"{name}\n    {paper.title}" in shown for name, paper in PAPERS.items())


def error_of(capsys, *words: str) -> str:
    """Return the message of a command that must end with exit code 1 and without a traceback."""
    assert main(["reproduce", *words]) == 1
    error = capsys.readouterr().err
    assert error.startswith("pancext reproduce: error: ")
    assert "Traceback" not in error
    return error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["segresnet"],
            "no paper 'segresnet'. There are: segresnet-nl, pancreas-tumor-cascade, dlkunet, attention-unet, "
            "cdi-nstseg.",
        ),
        (
            ["dlkunet", "--dry-run", "--datasets", "msd"],
            "--datasets msd is not part of the protocol of dlkunet. Available: synapse, acdc.",
        ),
        (
            ["segresnet-nl", "--dry-run", "--trainers", "DLKUNetLTrainer"],
            "--trainers DLKUNetLTrainer is not part of the protocol of segresnet-nl. Available: SegResNetNL",
        ),
        (
            ["dlkunet", "--dry-run", "--datasets", "acdc", "--trainers", "AttentionUNetTrainer"],
            "--datasets acdc has none of --trainers AttentionUNetTrainer.",
        ),
        (
            ["segresnet-nl", "--dry-run", "--source", "nowhere.tar"],
            "--source: there is no nowhere.tar (msd). Give the downloaded folder or archive.",
        ),
        (
            ["dlkunet", "--dry-run", "--source", "RawData.zip"],
            "dlkunet takes synapse=PATH, acdc=PATH.",
        ),
        (
            ["attention-unet", "--dry-run", "--source", "one"],
            "attention-unet takes nih-images=PATH, nih-labels=PATH.",
        ),
        (
            ["segresnet-nl", "--dry-run", "--seconds-per-epoch", "0"],
            "--seconds-per-epoch is 0; it must be finite and above 0.",
        ),
        (
            ["segresnet-nl", "--dry-run", "--seconds-per-epoch", "nan"],
            "--seconds-per-epoch is nan; it must be finite and above 0.",
        ),
        (
            ["segresnet-nl", "--dry-run", "--seconds-per-epoch", "inf"],
            "--seconds-per-epoch is inf; it must be finite and above 0.",
        ),
    ],
)
def test_a_mistake_is_reported(capsys, words, message):
    assert message in error_of(capsys, *words)


def test_downloads_are_taken_by_name_or_in_order(tmp_path, capsys, no_host_folders):
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.mkdir()
    labels.mkdir()
    for words in ([f"nih-labels={labels}", f"nih-images={images}"], [str(images), str(labels)]):
        assert main(["reproduce", "attention-unet", "--dry-run", "--source", *words]) == 0
        assert f"pancext convert nih {images} {labels} --split 60/20" in capsys.readouterr().out


def test_variables_that_are_not_set_are_reported_with_the_lines_to_type(capsys, no_host_folders, monkeypatch):
    monkeypatch.setenv("nnUNet_raw", "/data/raw")
    message = error_of(capsys, "segresnet-nl")
    assert "nnUNet_preprocessed, nnUNet_results not set" in message
    assert "export nnUNet_results=$HOME/nnunet/results" in message
    assert "export nnUNet_raw" not in message


def test_a_missing_download_is_reported_before_anything_runs(machine, capsys):
    assert machine.reproduce("pancreas-tumor-cascade", "--datasets", "nih", source=False) == 1
    message = capsys.readouterr().err
    assert "not converted yet, and its download is not given" in message
    assert "--source nih-images=PATH nih-labels=PATH" in message
    assert machine.ran == []


def test_a_machine_without_a_gpu_is_reported_before_anything_runs(machine, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    message = error_of(capsys, "segresnet-nl", "--source", str(machine.source), "--out", str(machine.out))
    assert "PyTorch finds no GPU" in message
    assert machine.ran == []


def test_a_folder_that_cannot_be_written_is_reported(machine, capsys):
    machine.out.write_text("a file", encoding="utf-8")
    assert machine.reproduce("segresnet-nl") == 1
    assert "Give another --out." in capsys.readouterr().err
    assert main(["reproduce", "segresnet-nl", "--table", "--out", str(machine.out)]) == 1
    assert f"cannot write to {machine.out}" in capsys.readouterr().err


def test_a_step_that_fails_is_shown_with_its_last_lines_and_how_to_go_on(tmp_path, monkeypatch, capsys):
    for name in DUTIES:
        monkeypatch.setenv(name, str(tmp_path / name))
    source = tmp_path / "Task07_Pancreas"
    source.mkdir()
    options = ["--device", "cpu", "--out", str(tmp_path / "out"), "--trainers", "nnUNetTrainer"]
    assert main(["reproduce", "segresnet-nl", "--source", str(source), *options]) == 1
    captured = capsys.readouterr()
    assert "convert-900: failed: pancext ended with exit code 1" in captured.out
    assert "| pancext convert: error: " in captured.out
    assert "0 of 5 steps done, 1 failed, 4 waiting" in captured.out
    assert "Run the same command again to continue" in captured.err
