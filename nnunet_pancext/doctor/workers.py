"""Does nnU-Net start more processes than there are processor cores?"""

from __future__ import annotations

import os
from collections.abc import Iterator

from nnunet_pancext.doctor.check import Finding, ok, problem, warning
from nnunet_pancext.doctor.hardware import usable_cpus

GENERAL, AUGMENTATION = "nnUNet_def_n_proc", "nnUNet_n_proc_DA"
# What nnU-Net takes where the variable is not set.
DEFAULTS = {GENERAL: 8, AUGMENTATION: 12}


def check_workers() -> Iterator[Finding]:
    """One finding for each of the two variables that set numbers of processes."""
    for variable in (GENERAL, AUGMENTATION):
        yield check_variable(variable, cpus=usable_cpus(), all_cpus=os.cpu_count() or 1)


def check_variable(variable: str, *, cpus: int, all_cpus: int) -> Finding:
    """Hold the number of processes against the `cpus` that may be used of `all_cpus`.

    nnU-Net itself caps the processes for augmentation at `all_cpus`, also where the variable is set.
    """
    text = os.environ.get(variable)
    try:
        number = DEFAULTS[variable] if text is None else int(text)
    except ValueError:
        number = -1
    smallest = 0 if variable == AUGMENTATION else 1
    export = f"export {variable}={cpus}"
    if number < smallest:
        return problem(variable, f"{text!r} is not a number of processes; nnU-Net fails on it", export)
    if number == 0:
        return warning(
            variable,
            "0: training works, but nnUNetv2_plan_and_preprocess crashes",
            f"For planning: {export}",
        )
    started = min(number, all_cpus) if variable == AUGMENTATION else number
    source = f"{started} (nnU-Net's default)" if text is None else str(started)
    if started < number and text is not None:
        source = f"{number}, which nnU-Net caps at {started}"
    if started > cpus:
        return warning(variable, f"{source} for {cpus} CPUs: slower than {cpus}, and more memory", export)
    return ok(variable, f"{source} for {cpus} CPUs")
