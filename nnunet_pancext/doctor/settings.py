"""Environment variables that hold a number: nnU-Net's processes, the package's seed and progress interval."""

import os
from collections.abc import Callable, Iterator

from nnunet_pancext.doctor.check import Diagnosis, ok, problem, warning
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.progress_interval import VARIABLE as PROGRESS
from nnunet_pancext.io.progress_interval import interval_from_environment

SEED = "PANCEXT_SEED"
GENERAL, AUGMENTATION = "nnUNet_def_n_proc", "nnUNet_n_proc_DA"
DEFAULTS = {GENERAL: 8, AUGMENTATION: 12}  # nnU-Net's


def check_seed() -> Iterator[Diagnosis]:
    """The seed, where it is set."""
    if os.environ.get(SEED):
        from nnunet_pancext.trainers.machinery.seeding import seed_from_environment

        yield from _check(SEED, seed_from_environment, meaning="trainings are reproducible")


def check_progress_interval() -> Iterator[Diagnosis]:
    """The interval, where it is set."""
    return _check(PROGRESS, interval_from_environment, meaning="seconds between two lines within an epoch")


def _check(variable: str, read: Callable[[], object], *, meaning: str) -> Iterator[Diagnosis]:
    value = os.environ.get(variable)
    if not value:
        return
    try:
        read()
    except PancextError as error:
        yield problem(variable, repr(value), str(error))
    else:
        yield ok(variable, f"{value}: {meaning}")


def check_workers() -> Iterator[Diagnosis]:
    """Whether nnU-Net starts more processes than there are CPUs that this process may use."""
    all_cpus = os.cpu_count() or 1
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else all_cpus
    for variable in DEFAULTS:
        yield check_variable(variable, cpus=cpus, all_cpus=all_cpus)


def check_variable(variable: str, *, cpus: int, all_cpus: int) -> Diagnosis:
    """Compare a number of processes with the usable `cpus`; nnU-Net caps augmentation at `all_cpus`."""
    text = os.environ.get(variable)
    try:
        number = DEFAULTS[variable] if text is None else int(text)
    except ValueError:
        number = -1
    export = f"export {variable}={cpus}"
    if number < (0 if variable == AUGMENTATION else 1):
        return problem(variable, f"{text!r} is not a number of processes; nnU-Net fails on it", export)
    if number == 0:
        state = "0: training works, but nnUNetv2_plan_and_preprocess crashes"
        return warning(variable, state, f"For planning: {export}")
    started = min(number, all_cpus) if variable == AUGMENTATION else number
    state = f"{started} (nnU-Net's default)" if text is None else str(started)
    if started < number and text is not None:
        state = f"{number}, which nnU-Net caps at {started}"
    if started > cpus:
        return warning(variable, f"{state} for {cpus} CPUs: slower than {cpus}, and more memory", export)
    return ok(variable, f"{state} for {cpus} CPUs")
