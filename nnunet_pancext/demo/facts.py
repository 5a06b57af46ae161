"""What a reader of the demo's report needs to know to judge its numbers."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from nnunet_pancext.demo.held_out import HeldOut

ONE_RUN = "This is one training with one seed. Another seed gives other numbers."
# Of benchmarks/demo_spread.py; its table is in benchmarks/README.md.
SPREAD = (
    "This is one training with one seed. With 8 seeds, and 3 instruction sets for 4 of them, the mean Dice "
    "of this demo was between 0.69 and 0.86."
)


def collect_facts(
    *,
    trainer: str,
    configuration: str,
    plans: Mapping[str, Any],
    held_out: HeldOut,
    device: str,
    seed: str,
) -> list[tuple[str, str]]:
    """Return pairs of name and value; `plans` is the content of nnU-Net's plans file."""
    configurations = plans["configurations"]
    plan = configurations[configuration]
    plan = {**configurations.get(plan.get("inherits_from"), {}), **plan}
    versions = ", ".join(f"{name} {version(name)}" for name in ("nnunet-pancext", "nnunetv2", "torch"))
    processors = f"{platform.machine()}, {os.cpu_count()} processors, {device}"
    return [
        ("Trainer", trainer),
        ("Configuration", configuration),
        ("Patch size", f"{' x '.join(map(str, plan['patch_size']))} voxels"),
        ("Batch size", str(plan["batch_size"])),
        ("Spacing", f"{' x '.join(f'{step:.2f}' for step in plan['spacing'])} mm"),
        ("Cases", _cases_text(held_out)),
        ("Seed", seed),
        ("Versions", f"{versions}, Python {platform.python_version()}"),
        ("Machine", processors),
    ]


def _cases_text(held_out: HeldOut) -> str:
    if held_out.trained_on:
        return f"{len(held_out.training)} trained and validated on, {len(held_out.cases)} of them predicted"
    counts = map(len, (held_out.training, held_out.validation, held_out.cases))
    return "{} trained on, {} validated on, {} predicted".format(*counts)


def collect_notes(*, made: bool, device: str, held_out: HeldOut, as_measured: bool = False) -> list[str]:
    """Return what a reader must not overlook.

    Args:
        made: the CTs are phantoms.
        device: on which the network was trained.
        held_out: the cases.
        as_measured: the demo was run as `SPREAD` was measured, but for the seed.
    """
    notes = [SPREAD if as_measured else ONE_RUN]
    if held_out.trained_on:
        notes.append(
            "The predicted case was also trained on, because there are fewer cases than folds. "
            "These numbers say nothing about new patients."
        )
    if made:
        notes.append("The CTs are made: they show that the way works, not how good a network is.")
    if device == "cpu":
        notes.append(
            "Without a GPU the plan's patch was cut, to train in minutes. Real training uses the plan's."
        )
    return notes
