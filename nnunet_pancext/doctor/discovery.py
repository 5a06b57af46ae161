"""Does stock nnU-Net find the trainers? Tried in a new process, as one of nnU-Net's commands would."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import nnunet_pancext_discovery
from nnunet_pancext.doctor.check import Finding, ok, problem
from nnunet_pancext.doctor.versions import torchvision_command

TRAINER = "SegResNetNLTrainer"
VARIANT = f"{TRAINER}_5epochs"
TITLE = "trainer lookup"
ANNOUNCEMENT = f"trying: does nnU-Net find {TRAINER}? (about 10 seconds)"
PATIENCE_S = 300

PROGRAM = f"""\
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

found = recursive_find_trainer_class_by_name("{TRAINER}")
variant = recursive_find_trainer_class_by_name("{VARIANT}")

from nnunet_pancext.trainers import {TRAINER}

if found is not {TRAINER}:
    raise SystemExit(f"nnU-Net found another {TRAINER}, in {{found.__module__}}")
if variant.__name__ != "{VARIANT}" or not issubclass(variant, found) or variant.num_epochs != 5:
    raise SystemExit(f"{VARIANT} became {{variant}}")
"""

REINSTALL = "Install nnunet-pancext again, the way it was installed, with --force-reinstall --no-deps."


def check_discovery() -> Iterator[Finding]:
    """Look up a trainer and a variant of it by nnU-Net's own function; both must be the package's classes."""
    environment = {
        name: value for name, value in os.environ.items() if name != nnunet_pancext_discovery.VARIABLE
    }
    start = time.monotonic()
    # In another folder, because `-c` imports from the current one first.
    with tempfile.TemporaryDirectory() as folder:
        try:
            finished = subprocess.run(
                [sys.executable, "-c", PROGRAM],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            yield problem(
                TITLE,
                f"no answer after {PATIENCE_S} s",
                "Try again when the machine and its disk are less busy.",
            )
            return
    if finished.returncode == 0:
        yield ok(TITLE, f"nnU-Net finds {TRAINER} and {VARIANT} ({time.monotonic() - start:.0f} s)")
        return
    lines = finished.stderr.strip().splitlines() or [f"exit code {finished.returncode}"]
    remedy = REINSTALL
    if "torchvision" in finished.stderr:
        remedy = (
            f"torch and torchvision do not fit. Install both from the same index: {torchvision_command()}"
        )
    yield problem(TITLE, lines[-1].strip(), remedy)
