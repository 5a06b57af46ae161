"""The README's table of trainers, and names of trainers in the documentation, against the classes."""

import re
from pathlib import Path

import pytest
import torch

from nnunet_pancext.attention.maps import has_attention
from nnunet_pancext.cli.trainer_table import is_ablation
from nnunet_pancext.trainers import find_trainer, list_trainers
from nnunet_pancext.trainers.machinery.plan_setting import default_setting

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
NAME = re.compile(r"`((?:[A-Z]\w*Trainer|nnUNetTrainer[A-Z]\w*)(?:_\w+)?)`")
OF_NNUNET = re.compile(r"nnUNetTrainer(_\w+)?$|nnUNetTrainer(Benchmark_5epochs|DA5|NoMirroring)")
BASES = {"PancextTrainer", "NetworkTrainer", "InjectionTrainer", "MonaiTrainer"}


def test_every_family_is_in_the_readmes_table():
    rows = [line for line in PAGES[0].read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    named = {name for row in rows for name in NAME.findall(row)}
    main = {name for name, trainer in list_trainers().items() if not is_ablation(trainer)}
    assert main <= named


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_trainer_named_on_a_page_exists(page):
    names = set(NAME.findall(page.read_text(encoding="utf-8"))) - BASES
    unknown = {name for name in names if not OF_NNUNET.match(name) and find_trainer(name) is None}
    assert not unknown


@pytest.mark.parametrize("name", [name for name in list_trainers() if not name.startswith("Monai")])
def test_a_trainer_names_the_attention_that_its_network_has(name):
    trainer = list_trainers()[name]
    sizes = default_setting().sizes("2d")
    if hasattr(trainer, "network_options"):
        trainer = type(
            name, (trainer,), {"network_options": {**trainer.network_options, **trainer.small_options}}
        )
    with torch.device("meta"):
        network = trainer.build_network_architecture(sizes.plans_manager, sizes.configuration_manager, 1, 3)
    assert has_attention(network) is (trainer.attention is not None)
