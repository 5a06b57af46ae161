"""`pancext convert msd` parses, converts and prints a summary."""

import argparse
from importlib import import_module
from inspect import signature
from pathlib import Path

import pytest
from synthetic_msd_task import SyntheticTask, tree

from nnunet_pancext.cli.convert import DEFAULTS, add_parser
from nnunet_pancext.dataset_conversion.layouts.msd import convert_msd
from nnunet_pancext.errors import PancextError


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser(prog="pancext")
    add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["convert", *map(str, arguments)])
    return parsed.run(parsed) or 0


def test_writes_to_nnunet_raw(
    task: SyntheticTask, raw_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("nnUNet_raw", str(raw_root))
    assert run("msd", task.folder) == 0
    out, err = capsys.readouterr()
    assert f"dataset   {raw_root / 'Dataset007_Pancreas'}" in out
    assert "cases     6 training, 2 test (14 linked files)" in out
    assert "checking: 100%" in err
    assert "writing: 100%" in err


def test_bad_cases_warn_and_exit_0(
    task: SyntheticTask, raw_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task.label(4).unlink()
    assert run("msd", task.folder, "--out", raw_root) == 0
    assert "left out  1 case:\n  pancreas_004: label missing" in capsys.readouterr().out


def test_options_reach_the_conversion(task: SyntheticTask, raw_root: Path, tmp_path: Path) -> None:
    run(
        *("msd", task.folder, "--out", raw_root, "--id", 17, "--name", "Panc2"),
        *("--labels", "pancreas", "--split", "4/2", "--jobs", 1, "--strict"),
    )
    expected = convert_msd(
        task.folder,
        raw_root=tmp_path / "other",
        dataset_id=17,
        name="Panc2",
        labels="pancreas",
        split="4/2",
        show_progress=False,
    )
    assert tree(raw_root / "Dataset017_Panc2") == tree(expected.folder)


def test_without_nnunet_raw_and_out_it_says_how_to_set_it(
    task: SyntheticTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("nnUNet_raw", raising=False)
    with pytest.raises(
        PancextError, match=r"nnUNet_raw is not set.*export nnUNet_raw=.*or give .* with --out"
    ):
        run("msd", task.folder)


def test_strict_raises(task: SyntheticTask, raw_root: Path) -> None:
    task.label(4).unlink()
    with pytest.raises(PancextError, match=r"--strict: 1 problem.*\n  pancreas_004: label missing"):
        run("msd", task.folder, "--out", raw_root, "--strict")


def test_an_unknown_label_set_is_refused_by_the_parser(
    task: SyntheticTask, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run("msd", task.folder, "--labels", "liver")
    assert "invalid choice: 'liver'" in capsys.readouterr().err


@pytest.mark.parametrize("layout", DEFAULTS)
def test_the_help_names_the_defaults_of_the_layout(layout: str) -> None:
    module = import_module(
        f"nnunet_pancext.dataset_conversion.layouts.{'png_slices' if layout == 'slices' else layout}"
    )
    parameters = signature(getattr(module, f"convert_{layout}")).parameters
    assert DEFAULTS[layout][:2] == (parameters["dataset_id"].default, parameters["name"].default)
