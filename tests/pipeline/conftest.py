"""A phantom dataset that nnU-Net has planned and preprocessed."""

import shutil
from pathlib import Path

import pytest
from contracts.host_commands import Project
from filelock import FileLock

from nnunet_pancext.dataset_conversion.layouts.msd import convert_msd
from nnunet_pancext.phantom import write_phantom_dataset

SEED = 15


@pytest.fixture(scope="session")
def phantom_project(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Project:
    """Seven phantoms, two of them for testing, planned and preprocessed.

    With this seed every slice fits into one patch. The first test process that needs the phantoms writes
    them; each process works on its own copy.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    made = shared / "phantom_made"
    with FileLock(shared / "phantom_made.lock"):
        if not made.is_dir():
            _make(shared / "phantom_in_work").rename(made)
    root = tmp_path_factory.mktemp("phantom") / "copy"
    shutil.copytree(made, root)
    return Project(root, root / "results")


def _make(root: Path) -> Path:
    project = Project(root, root / "results")
    source = write_phantom_dataset(
        root / "source", cases=7, size=(16, 32, 32), seed=SEED, show_progress=False
    )
    convert_msd(source, raw_root=root / "raw", split="5/2", show_progress=False)
    configurations = ("-c", "2d", "3d_fullres", "-np", "1", "1")
    project.run("nnUNetv2_plan_and_preprocess", "-d", 7, "-npfp", 1, *configurations)
    return root
