"""The sample of CONTRIBUTING.md: three files in a copy of the package train with nnU-Net's own command."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import torch
from contracts.fork_pools import forking_site
from contracts.made_preprocessed import DATASET, make_preprocessed, write_ground_truth

REPOSITORY = Path(__file__).resolve().parents[2]
TRAIN = Path(sysconfig.get_path("scripts")) / "nnUNetv2_train"
SAMPLE = re.compile(r"`((?:nnunet_pancext|tests)/[\w/]*my_net\w*\.py)`:\n\n```python\n(.*?)```", re.DOTALL)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package, its contracts and the sample's files."""
    root = tmp_path_factory.mktemp("copy")
    without_bytecode = shutil.ignore_patterns("__pycache__")
    for folder in ("nnunet_pancext", "tests/contracts"):
        shutil.copytree(REPOSITORY / folder, root / folder, ignore=without_bytecode)
    for file in ("nnunet_pancext_discovery.py", "pyproject.toml"):
        shutil.copy(REPOSITORY / file, root)
    files = dict(SAMPLE.findall((REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")))
    assert len(files) == 3
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, encoding="utf-8")
    return root


def run(root: Path, *command: str | Path, **variables: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("nnUNet_")}
    environment = {**kept, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", **variables}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_the_sample_trains_with_nnunets_command(copy, tmp_path):
    write_ground_truth(make_preprocessed(tmp_path))
    folders = {name: str(tmp_path / name) for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")}
    name = "MyNetTrainer_1epochs_1iterations"
    run(
        copy,
        *(TRAIN, "7", "2d", "0", "-tr", name, "-device", "cpu"),
        **folders,
        nnUNet_n_proc_DA="0",
        nnUNet_def_n_proc="1",
        PYTHONPATH=os.pathsep.join([str(copy), forking_site(tmp_path / "site")]),
    )
    fold = tmp_path / "nnUNet_results" / DATASET / f"{name}__nnUNetPlans__2d" / "fold_0"
    checkpoint = torch.load(fold / "checkpoint_final.pth", weights_only=False)
    assert checkpoint["trainer_name"] == name
    assert "decoder.0.weight" in checkpoint["network_weights"]
    assert (fold / "validation" / "summary.json").is_file()


def test_the_samples_contracts_and_numbers_hold(copy):
    """Without those that train; the trainer's contract is tried on the package's own."""
    selected = "TestMyNet and not Trainer and not compiles or by_hand or very_class"
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", selected)
    assert " passed" in run(copy, *command, "tests/trainers/test_my_net.py")


def test_the_sample_is_listed_with_its_ablation(copy):
    program = (
        "import sys; from nnunet_pancext.cli.main import main; main(['trainers', '-c', '2d']);"
        "print('monai imported:', 'monai' in sys.modules);"
        "main(['trainers', '--all', '-c', '2d'])"
    )
    main_trainers, table = run(copy, sys.executable, "-c", program).split("monai imported: ")
    assert "MyNetTrainer" in main_trainers
    assert table.startswith("False")  # its import takes seconds, and its trainers are hidden
    assert re.search(r"^MyNetTrainer +MyNet \(Authors\) +2D, 3D ", table, re.MULTILINE)
    assert re.search(r"^MyNetNarrowTrainer +MyNet \(Authors\) ", table, re.MULTILINE)
