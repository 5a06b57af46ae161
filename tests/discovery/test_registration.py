"""What happens at the start of every Python process; no nnU-Net and no torch is imported here."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from child_environment import VARIABLE, ChildEnvironment

PRINT_VARIABLE = f"import os; print(os.environ.get({VARIABLE!r}, ''))"
PRINT_MODULES = "import json, sys; print(json.dumps(sorted(sys.modules)))"


def variable_of(environment: ChildEnvironment, **variables: str) -> list[str]:
    """Return the folders in the variable, as a new process of `environment` sees them."""
    return environment.python("-c", PRINT_VARIABLE, **variables).stdout.strip().split(os.pathsep)


def import_folder_of(environment: ChildEnvironment) -> str:
    """Return the folder on sys.path from which the package is imported."""
    code = "import nnunet_pancext_discovery as d, os; print(os.path.dirname(os.path.abspath(d.__file__)))"
    return environment.python("-c", code).stdout.strip()


def test_a_new_process_has_the_bridge_folder(wheel_environment: ChildEnvironment) -> None:
    (bridge,) = variable_of(wheel_environment)
    assert [path.name for path in Path(bridge).glob("*.py")] == ["nnunet_pancext_bridge.py"]


def test_a_process_started_by_a_process_has_one_entry(wheel_environment: ChildEnvironment) -> None:
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {PRINT_VARIABLE!r}], check=True)"
    assert wheel_environment.python("-c", nested).stdout.strip().split(os.pathsep) == variable_of(
        wheel_environment
    )


def test_folders_of_the_user_stay_first_and_in_order(wheel_environment: ChildEnvironment) -> None:
    (bridge,) = variable_of(wheel_environment)
    assert variable_of(wheel_environment, **{VARIABLE: f"/mine{os.pathsep}/yours"}) == [
        "/mine",
        "/yours",
        bridge,
    ]


def test_a_folder_appended_to_an_inherited_value_comes_before_ours(
    wheel_environment: ChildEnvironment,
) -> None:
    (bridge,) = variable_of(wheel_environment)
    assert variable_of(wheel_environment, **{VARIABLE: f"{bridge}{os.pathsep}/mine"}) == ["/mine", bridge]


def test_two_environments_with_the_package_can_start_each_other(
    wheel_environment: ChildEnvironment, editable_environment: ChildEnvironment
) -> None:
    (outer,), (inner,) = variable_of(wheel_environment), variable_of(editable_environment)
    assert variable_of(editable_environment, **{VARIABLE: outer}) == [outer, inner]


def test_importing_the_package_registers_where_pth_files_are_skipped(
    wheel_environment: ChildEnvironment,
) -> None:
    code = f"import sys; sys.path.insert(0, {import_folder_of(wheel_environment)!r}); import nnunet_pancext; "
    done = wheel_environment.python("-I", "-S", "-c", code + PRINT_VARIABLE)
    assert done.stdout.strip().split(os.pathsep) == variable_of(wheel_environment)


def test_registering_twice_adds_one_entry(wheel_environment: ChildEnvironment) -> None:
    code = "import nnunet_pancext, nnunet_pancext_discovery as d; d.register(); d.register(); "
    assert wheel_environment.python("-c", code + PRINT_VARIABLE).stdout.strip().split(
        os.pathsep
    ) == variable_of(wheel_environment)


def test_the_discovery_module_imports_os_and_sys_only(wheel_environment: ChildEnvironment) -> None:
    folder = import_folder_of(wheel_environment)
    code = (
        "import os, sys; before = set(sys.modules); "
        f"sys.path.insert(0, {folder!r}); "
        "import nnunet_pancext_discovery; nnunet_pancext_discovery.register(); "
        "print(*set(sys.modules) - before)"
    )
    assert wheel_environment.python("-I", "-S", "-c", code).stdout.split() == ["nnunet_pancext_discovery"]


def test_a_start_of_python_imports_one_module_more(
    wheel_environment: ChildEnvironment, bare_environment: ChildEnvironment
) -> None:
    with_package = set(json.loads(wheel_environment.python("-c", PRINT_MODULES).stdout))
    without = set(json.loads(bare_environment.python("-c", PRINT_MODULES).stdout))
    assert with_package - without == {"nnunet_pancext_discovery"}


def test_an_installation_broken_by_hand_does_not_keep_python_from_starting(
    new_environment: Callable[[], ChildEnvironment], wheel: Path
) -> None:
    environment = new_environment()
    environment.install(wheel)
    discovery = environment.site_packages / "nnunet_pancext_discovery.py"

    (environment.site_packages / "nnunet_pancext").rename(environment.root / "removed")
    without_package = environment.python("-c", "print(1)")
    discovery.write_text("register = None\n", encoding="utf-8")
    with_damage = environment.python("-c", "print(1)")
    discovery.unlink()
    without_discovery = environment.python("-c", "print(1)")

    assert (without_package.stdout, without_package.stderr) == ("1\n", "")
    assert with_damage.stdout == without_discovery.stdout == "1\n"
    # Python's own report for a `.pth` line that fails: it names the file, so the user knows what to remove.
    report = f"Error processing line 1 of {environment.site_packages / 'nnunet_pancext.pth'}"
    assert report in with_damage.stderr
    assert report in without_discovery.stderr
    assert "No module named 'nnunet_pancext_discovery'" in without_discovery.stderr


def test_an_error_while_registering_is_swallowed(wheel_environment: ChildEnvironment) -> None:
    code = "import nnunet_pancext_discovery as d; d.os.pathsep = None; d.register(); print(1)"
    done = wheel_environment.python("-c", code)
    assert (done.stdout, done.stderr) == ("1\n", "")


@pytest.mark.parametrize("folder_like_the_package", [False, True])
def test_the_bridge_is_silent_where_the_package_is_not_installed(
    wheel_environment: ChildEnvironment,
    bare_environment: ChildEnvironment,
    tmp_path: Path,
    folder_like_the_package: bool,
) -> None:
    (bridge,) = variable_of(wheel_environment)
    if folder_like_the_package:  # as a clone is, seen from the folder around it
        (tmp_path / "nnunet_pancext" / "docs").mkdir(parents=True)
    code = (
        f"import sys; sys.path.insert(0, {bridge!r}); import nnunet_pancext_bridge as bridge; "
        "print(hasattr(bridge, 'MyTrainer'), hasattr(bridge, 'SegResNetNLTrainer_50epoch'))"
    )
    done = bare_environment.python("-c", code, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("False False\n", "")
