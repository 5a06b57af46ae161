from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from nnunet_pancext.former_names import MOVED


@pytest.mark.parametrize(("former", "present"), MOVED.items(), ids=MOVED)
def test_a_module_imports_under_its_former_name_with_a_warning(former, present, monkeypatch):
    monkeypatch.delitem(sys.modules, former, raising=False)
    with pytest.warns(DeprecationWarning, match=f"{former} is now {present}"):
        assert importlib.import_module(former) is importlib.import_module(present)


def test_the_warning_points_at_the_import():
    lines = [
        "import nnunet_pancext.nifti.scan as scan",
        "from nnunet_pancext.files import atomic_path",
        "print(scan.__name__)",
    ]
    command = [sys.executable, "-W", "always::DeprecationWarning", "-c", "\n".join(lines)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "nnunet_pancext.io.nifti_scan"
    assert "<string>:1: DeprecationWarning: nnunet_pancext.nifti.scan is now" in done.stderr
    assert "<string>:2: DeprecationWarning: nnunet_pancext.files is now" in done.stderr


def test_an_unknown_module_is_still_unknown():
    with pytest.raises(ModuleNotFoundError, match=r"nnunet_pancext\.reports\.nothing"):
        importlib.import_module("nnunet_pancext.reports.nothing")
