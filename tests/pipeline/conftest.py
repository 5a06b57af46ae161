"""A phantom dataset that nnU-Net has planned and preprocessed."""

from __future__ import annotations

import pytest
from contracts.host_commands import Project

from nnunet_pancext.dataset_conversion.msd import convert_msd
from nnunet_pancext.phantom import write_phantom_dataset


@pytest.fixture(scope="session")
def phantom_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Seven phantoms, converted with two held out, planned and preprocessed."""
    root = tmp_path_factory.mktemp("phantom")
    project = Project(root, root / "results")
    source = write_phantom_dataset(root / "source", cases=7, size=(16, 32, 32), show_progress=False)
    convert_msd(source, raw_root=root / "raw", split="5/2", show_progress=False)
    configurations = ("-c", "2d", "3d_fullres", "-np", "2", "2")
    project.run(
        "nnUNetv2_plan_and_preprocess", "-d", 7, "--verify_dataset_integrity", "-npfp", 2, *configurations
    )
    return project
