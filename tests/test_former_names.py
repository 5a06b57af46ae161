import importlib
import subprocess
import sys

import pytest

from nnunet_pancext.former_names import MOVED, RENAMED


@pytest.mark.parametrize(("former", "present"), MOVED.items(), ids=MOVED)
def test_a_module_imports_under_its_former_name_with_a_warning(former, present, monkeypatch):
    monkeypatch.delitem(sys.modules, former, raising=False)
    with pytest.warns(DeprecationWarning, match=f"{former} is now {present}"):
        module = importlib.import_module(former)
    for name, value in vars(importlib.import_module(present)).items():
        if not name.startswith("_"):
            assert getattr(module, name) is value


@pytest.mark.filterwarnings("ignore:nnunet_pancext.* is now:DeprecationWarning")
@pytest.mark.parametrize(("former", "present"), RENAMED.items(), ids=RENAMED)
def test_a_name_is_found_where_it_was_with_a_warning(former, present):
    home, _, name = former.rpartition(".")
    module = importlib.import_module(home)
    with pytest.warns(DeprecationWarning, match=f"{former} is now {present}"):
        value = getattr(module, name)
    home, _, name = present.rpartition(".")
    assert value is getattr(importlib.import_module(home), name)


def test_the_warning_points_at_the_import():
    lines = [
        "import nnunet_pancext.nifti.scan as scan",
        "from nnunet_pancext.files import atomic_path",
        "print(scan.scan_nifti.__module__)",
    ]
    command = [sys.executable, "-W", "always::DeprecationWarning", "-c", "\n".join(lines)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "nnunet_pancext.io.nifti_scan"
    assert "<string>:1: DeprecationWarning: nnunet_pancext.nifti.scan is now" in done.stderr
    assert "<string>:2: DeprecationWarning: nnunet_pancext.files is now" in done.stderr


def test_an_unknown_module_is_still_unknown():
    with pytest.raises(ModuleNotFoundError, match=r"nnunet_pancext\.reports\.nothing"):
        importlib.import_module("nnunet_pancext.reports.nothing")
