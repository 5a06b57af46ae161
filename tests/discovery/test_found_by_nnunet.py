"""Stock nnU-Net finds the trainers after an installation, with nothing set by the user."""

from pathlib import Path
from typing import Any

import pytest
from child_environment import VARIABLE, ChildEnvironment

pytestmark = pytest.mark.slow

TRAINER = "SegResNetNLTrainer"
VARIANT = "SegResNetNLTrainer_5epochs_20iterations"
USERS_MODULE = """
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunet_pancext.trainers import SegResNetNLTrainer

class MyTrainer(nnUNetTrainer):
    pass

class SegResNetNLTrainer_mine(SegResNetNLTrainer):
    pass

class SegResNetNL1Trainer(nnUNetTrainer):
    pass
"""
RUN_TRAINING = """
import sys
from nnunetv2.run.run_training import run_training_entry
sys.exit(run_training_entry())
"""


def untrue(report: Any, *path: str) -> list[str]:
    """Return where in nested dicts a value is not True."""
    if isinstance(report, dict):
        return [entry for key, value in report.items() for entry in untrue(value, *path, key)]
    return [] if report is True else [": ".join(path)]


@pytest.mark.parametrize(
    ("environment", "processes"),
    [("wheel_environment", ("main", "spawn", "forkserver")), ("editable_environment", ("main",))],
)
def test_the_class_found_is_the_class_defined_in_every_kind_of_process(
    environment: str, processes: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    installed: ChildEnvironment = request.getfixturevalue(environment)
    workers = ["--workers"] if len(processes) > 1 else []
    report = installed.report("class_identity.py", *workers, TRAINER, VARIANT)
    assert {process: set(answers) for process, answers in report.items()} == {
        process: {TRAINER, VARIANT} for process in processes
    }
    assert untrue(report) == []


def test_ranks_of_a_distributed_training_find_the_class_and_train_its_network(
    wheel_environment: ChildEnvironment, tmp_path: Path
) -> None:
    ranks = wheel_environment.report("distributed_ranks.py", TRAINER, tmp_path)
    good = {"every parameter has a gradient": True, "gradients agree": True}
    assert ranks == [{"one output": {"outputs": 1, **good}, "deep supervision": {"outputs": 3, **good}}] * 2


def test_trainers_of_the_user_and_of_nnunet_are_found_as_before(
    wheel_environment: ChildEnvironment, tmp_path: Path
) -> None:
    (tmp_path / "my_trainers.py").write_text(USERS_MODULE, encoding="utf-8")
    stock = "nnunetv2.training.nnUNetTrainer"
    lengths = f"{stock}.variants.training_length.nnUNetTrainer_Xepochs"
    expected = {
        "MyTrainer": "my_trainers.MyTrainer",
        "SegResNetNLTrainer_mine": "my_trainers.SegResNetNLTrainer_mine",
        "SegResNetNL1Trainer": "my_trainers.SegResNetNL1Trainer",
        "SegResNetNL2Trainer": "nnunet_pancext.trainers.segresnet_nl.SegResNetNL2Trainer",
        "nnUNetTrainer": f"{stock}.nnUNetTrainer.nnUNetTrainer",
        "nnUNetTrainer_5epochs": f"{lengths}.nnUNetTrainer_5epochs",
    }
    found = wheel_environment.report(
        "resolve_names.py", *expected, "NoSuchTrainer", **{VARIABLE: str(tmp_path)}
    )
    unknown = found.pop("NoSuchTrainer")
    assert found == expected
    assert unknown.startswith("RuntimeError: Could not find requested nnunet trainer NoSuchTrainer")


def test_an_unknown_suffix_ends_nnunets_command_with_the_known_ones_and_no_traceback(
    wheel_environment: ChildEnvironment, tmp_path: Path
) -> None:
    command = tmp_path / "nnUNetv2_train"
    command.write_text(RUN_TRAINING, encoding="utf-8")
    words = ("1", "2d", "0", "-tr", "SegResNetNLTrainer_50epoch", "-device", "cpu")
    done = wheel_environment.python(command, *words, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert "nnunet_pancext: SegResNetNLTrainer has no suffix _50epoch" in done.stderr
    assert "_50epochs" in done.stderr
    assert "_20iterations" in done.stderr


def test_an_environment_without_the_package_is_not_disturbed_by_the_inherited_variable(
    wheel_environment: ChildEnvironment, bare_environment: ChildEnvironment, tmp_path: Path
) -> None:
    (tmp_path / "my_trainers.py").write_text(
        "from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import "
        "nnUNetTrainer as SegResNetNLTrainer_mine\n",
        encoding="utf-8",
    )
    code = f"import os; print(os.environ[{VARIABLE!r}])"
    bridge = wheel_environment.python("-c", code).stdout.strip()
    found = bare_environment.report(
        "resolve_names.py",
        "nnUNetTrainer",
        "SegResNetNLTrainer_mine",
        TRAINER,
        **{VARIABLE: f"{bridge}:{tmp_path}"},
    )
    stock = "nnunetv2.training.nnUNetTrainer.nnUNetTrainer.nnUNetTrainer"
    unknown = found.pop(TRAINER)
    assert found == {"nnUNetTrainer": stock, "SegResNetNLTrainer_mine": stock}
    assert unknown.startswith(f"RuntimeError: Could not find requested nnunet trainer {TRAINER}")
