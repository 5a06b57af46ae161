"""A comparison that was killed while it was written."""

import os
from pathlib import Path

import pytest
from contracts.killed_writing import kill_while_writing, only_with_fork
from made_comparison import comparison

from nnunet_pancext.campaign.kinds.compare import Compare
from nnunet_pancext.comparison.output.files import WRITERS, write_comparison

pytestmark = only_with_fork
MODEL = "A__nnUNetPlans__2d"
STEP = Compare(name="compare", dataset="Dataset007_Pancreas", models=(MODEL,), folds=("0",), output="out")
SUMMARY = f"Dataset007_Pancreas/{MODEL}/fold_0/validation/summary.json"


@pytest.mark.parametrize("is_there", [False, True])
def test_it_is_done_when_its_last_file_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool
):
    monkeypatch.setenv("nnUNet_results", str(tmp_path))
    made = comparison()
    write_comparison(tmp_path / "whole", made)
    whole = {name: (tmp_path / "whole" / name).read_bytes() for name in WRITERS}
    out = tmp_path / "out"
    if is_there:  # from before the latest validation
        write_comparison(out, made)
        for name in WRITERS:
            os.utime(out / name, (0, 0))
    (tmp_path / SUMMARY).parent.mkdir(parents=True)
    (tmp_path / SUMMARY).touch()
    states = []
    for _ in kill_while_writing(lambda: write_comparison(out, made)):
        states.append(STEP.is_done(tmp_path))
        for path in out.glob("comparison.*"):
            assert path.read_bytes() == whole[path.name]
    # before and after each of the files
    assert states == [False] * (2 * len(WRITERS) - 1) + [True]
    assert {name: (out / name).read_bytes() for name in WRITERS} == whole
