"""Does stock nnU-Net find the trainers? Tested in a new process, as one of nnU-Net's commands would."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from nnunet_pancext.doctor.check import Diagnosis, ok, problem
from nnunet_pancext.doctor.versions import torchvision_command
from nnunet_pancext_discovery import VARIABLE

TRAINER = "SegResNetNLTrainer"
VARIANT = f"{TRAINER}_5epochs"
TITLE = "trainer lookup"
ANNOUNCEMENT = f"testing whether nnU-Net finds {TRAINER} (about 10 seconds)"
TIMEOUT_S = 300

PROGRAM = f"""\
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

trainer = recursive_find_trainer_class_by_name("{TRAINER}")
variant = recursive_find_trainer_class_by_name("{VARIANT}")

from nnunet_pancext.trainers import {TRAINER}

if trainer is not {TRAINER}:
    raise SystemExit(f"nnU-Net found another {TRAINER}, in {{trainer.__module__}}")
if variant.__name__ != "{VARIANT}" or not issubclass(variant, trainer) or variant.num_epochs != 5:
    raise SystemExit(f"{VARIANT} became {{variant}}")
"""


def check_discovery() -> Iterator[Diagnosis]:
    """Look up a trainer and a variant with nnU-Net's own function; both must be the package's classes."""
    variables = {name: value for name, value in os.environ.items() if name != VARIABLE}
    start = time.monotonic()
    try:
        # In another folder, because `-c` imports from the current one first.
        with tempfile.TemporaryDirectory() as folder:
            lookup = subprocess.run(
                [sys.executable, "-c", PROGRAM],
                cwd=folder,
                env=variables,
                timeout=TIMEOUT_S,
                capture_output=True,
                text=True,
                check=False,
            )
    except subprocess.TimeoutExpired:
        remedy = "Try again when the machine and its disk are less busy."
        yield problem(TITLE, f"no answer after {TIMEOUT_S} s", remedy)
        return
    if lookup.returncode == 0:
        yield ok(TITLE, f"nnU-Net finds {TRAINER} and {VARIANT} ({time.monotonic() - start:.0f} s)")
        return
    lines = lookup.stderr.strip().splitlines() or [f"exit code {lookup.returncode}"]
    remedy = "Reinstall nnunet-pancext the same way as before, with --force-reinstall --no-deps."
    if "torchvision" in lookup.stderr:
        remedy = f"Install torch and torchvision from the same index: {torchvision_command()}"
    yield problem(TITLE, lines[-1].strip(), remedy)
