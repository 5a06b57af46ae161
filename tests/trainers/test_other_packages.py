"""Trainers that other packages offer through the entry points `nnunet_pancext.papers`."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from contracts.trainer import TrainerContract
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

from nnunet_pancext import trainers
from nnunet_pancext.cli.main import main
from nnunet_pancext.errors import PancextError
from nnunet_pancext.trainers.machinery import catalogue

MODULE = """
from nnunet_pancext.trainers import NetworkTrainer, SegResNetNLTrainer
from nnunet_pancext.architectures import SegResNetNL


class TheirBase(NetworkTrainer):
    network_class = SegResNetNL
    num_downsamplings = 3


class {name}(TheirBase):
    paper = "Theirs"
    small_options = {{"init_filters": 8}}


class {name}Ablation(SegResNetNLTrainer):
    pass
"""
PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "their-papers"
version = "1.0"

[project.entry-points."nnunet_pancext.papers"]
theirs = "their_papers"

[tool.setuptools]
py-modules = ["their_papers"]
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that puts a package with one entry point on the path, as pip leaves it."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(catalogue, "_others", None)
    monkeypatch.setattr(catalogue, "_variants", {})

    def install(package: str, content: str) -> None:
        module = package.replace("-", "_")
        monkeypatch.delitem(sys.modules, module, raising=False)
        (folder / f"{module}.py").write_text(content, encoding="utf-8")
        metadata = folder / f"{module}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8"
        )
        (metadata / "entry_points.txt").write_text(
            f"[nnunet_pancext.papers]\npapers = {module}\n", encoding="utf-8"
        )

    return install


def test_their_trainers_are_found_and_take_suffixes(install):
    install("their-papers", MODULE.format(name="TheirTrainer"))
    trainer = trainers.find_trainer("TheirTrainer")
    assert list(trainers.list_trainers())[-2:] == ["TheirTrainer", "TheirTrainerAblation"]
    variant = recursive_find_trainer_class_by_name("TheirTrainer_DynamicLoss_50epochs")
    assert (variant.__bases__, variant.num_epochs) == ((trainer,), 50)
    assert trainers.TheirTrainer_DynamicLoss_50epochs is variant
    with pytest.raises(PancextError, match="TheirTrainer has no suffix _50epoch"):
        trainers.find_trainer("TheirTrainer_50epoch")
    assert trainers.similar_trainers("TheirsTrainer") == ["TheirTrainer"]
    assert trainers.find_trainer("TheirBase") is None


class TestTheirTrainer(TrainerContract):
    """The contract takes another package's trainer; one step of it stands for the rest."""

    @pytest.fixture(autouse=True)
    def _installed(self, install):
        install("their-papers", MODULE.format(name="TheirTrainer"))
        type(self).trainer = trainers.find_trainer("TheirTrainer")

    @pytest.fixture(autouse=True)
    def _quick(self, _installed, monkeypatch):
        monkeypatch.setattr(self.trainer, "network_options", self.trainer.small_options)

    test_a_continued_run_is_bit_for_bit_the_uninterrupted_one = None
    test_a_training_step_in_every_configuration = None
    test_every_kind_of_labels = None
    test_prediction_is_the_network_applied_by_hand = None


def test_their_trainers_are_listed(install, capsys):
    install("their-papers", MODULE.format(name="TheirTrainer"))
    assert main(["trainers", "-c", "2d"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["TheirTrainer", "Theirs", "2D,", "3D", "6.56"] in [row[:5] for row in rows]
    assert "TheirTrainerAblation" not in [row[0] for row in rows if row]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemError('broken')", "SystemError: broken"),
    ],
)
def test_a_broken_package_is_named_and_breaks_nothing(install, content, reason):
    install("broken-papers", content)
    install("their-papers", MODULE.format(name="TheirTrainer"))
    with pytest.warns(UserWarning, match=f"trainers of broken-papers cannot be loaded: {reason}"):
        assert trainers.find_trainer("TheirTrainer") is not None
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # once is enough
        assert trainers.find_trainer("SegResNetNLTrainer_3epochs").num_epochs == 3


def test_a_name_that_is_taken_is_refused(install):
    own = trainers.DLKUNetSTrainer
    install("their-papers", MODULE.format(name="DLKUNetSTrainer"))
    with pytest.warns(UserWarning, match=r"DLKUNetSTrainer of their-papers .* this name is taken\. Rename"):
        found = trainers.list_trainers()
    assert found["DLKUNetSTrainer"] is own
    assert "DLKUNetSTrainerAblation" in found


def test_of_two_packages_the_second_does_not_take_the_name_of_the_first(install):
    install("one-package", MODULE.format(name="TheirTrainer"))
    install("other-package", MODULE.format(name="TheirTrainer"))
    with pytest.warns(UserWarning, match="this name is taken") as warned:
        trainers.list_trainers()
    assert len(warned) == 2  # the trainer and its ablation


def test_an_underscore_would_begin_a_suffix(install):
    install("their-papers", MODULE.format(name="Their_Trainer"))
    with pytest.warns(UserWarning, match="a trainer's name cannot contain '_'"):
        assert "Their_Trainer" not in trainers.list_trainers()


@pytest.mark.slow
def test_an_installed_wheel_is_found_by_nnunet(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    (source / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (source / "their_papers.py").write_text(MODULE.format(name="TheirTrainer"), encoding="utf-8")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", target]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, source], check=True)
    program = (
        "from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name as find\n"
        "trainer = find('TheirTrainer_7epochs')\n"
        "print(trainer.__mro__[1].__module__, trainer.num_epochs)\n"
    )
    package = Path(trainers.__file__).parents[2]
    path = os.pathsep.join(map(str, (target, package)))
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1].split() == ["their_papers", "7"]
