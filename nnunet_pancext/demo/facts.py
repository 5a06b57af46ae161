"""Facts and notes that a reader of the demo's report needs to judge its numbers."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from nnunet_pancext.demo.split import Split

ONE_RUN = "This is one training with one seed. Another seed gives other numbers."
# From benchmarks/demo_spread.py; its table is in benchmarks/README.md.
SPREAD = (
    "This is one training with one seed. With 8 seeds, and 3 instruction sets for 4 of them, the mean Dice "
    "of this demo was between 0.69 and 0.86."
)


def collect_facts(
    *, trainer: str, configuration: str, plans: Mapping[str, Any], split: Split, device: str, seed: str
) -> list[tuple[str, str]]:
    """Return pairs of name and value; `plans` is the content of nnU-Net's plans file."""
    configurations = plans["configurations"]
    plan = configurations[configuration]
    plan = {**configurations.get(plan.get("inherits_from"), {}), **plan}
    versions = ", ".join(f"{name} {version(name)}" for name in ("nnunet-pancext", "nnunetv2", "torch"))
    trained, validated, predicted = map(len, (split.training, split.validation, split.test))
    cases = f"{trained} trained on, {validated} validated on, {predicted} predicted"
    if split.test_was_trained_on:
        cases = f"{trained} trained and validated on, {predicted} of them predicted"
    return [
        ("Trainer", trainer),
        ("Configuration", configuration),
        ("Patch size", f"{' x '.join(map(str, plan['patch_size']))} voxels"),
        ("Batch size", str(plan["batch_size"])),
        ("Spacing", f"{' x '.join(f'{step:.2f}' for step in plan['spacing'])} mm"),
        ("Cases", cases),
        ("Seed", seed),
        ("Versions", f"{versions}, Python {platform.python_version()}"),
        ("Machine", f"{platform.machine()}, {os.cpu_count()} processors, {device}"),
    ]


def collect_notes(*, phantoms: bool, device: str, split: Split, as_measured: bool = False) -> list[str]:
    """Return what a reader must not overlook; `as_measured`: `SPREAD` holds for these settings."""
    notes = [SPREAD if as_measured else ONE_RUN]
    if split.test_was_trained_on:
        notes.append(
            "The predicted case was also trained on, because there are fewer cases than folds. "
            "These numbers say nothing about new patients."
        )
    if phantoms:
        notes.append("The CTs are synthetic: they show that the pipeline works, not how good a network is.")
    if device == "cpu":
        notes.append(
            "Without a GPU the patch is smaller than the plan's, to train in minutes. Real training uses the "
            "plan's."
        )
    return notes
