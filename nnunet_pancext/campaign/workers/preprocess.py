"""Plans a dataset and preprocesses the cases that are missing, as nnU-Net does, but by case.

nnU-Net's own function deletes all cases of the configuration before the first. Here each is written beside
them, by nnU-Net's preprocessor, and renamed when it is whole.
"""

import argparse
import os
import shutil
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from nnunet_pancext.campaign.kinds.preprocess import CASE_LINE
from nnunet_pancext.campaign.set_aside import PREFIX, set_aside
from nnunet_pancext.campaign.workers.child_watch import ended_with_children
from nnunet_pancext.campaign.workers.exit_code import with_exit_code
from nnunet_pancext.campaign.workers.waiting_lock import lease_of_cases, waiting_lock
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import counted
from nnunet_pancext.io.disk import write_errors_as_pancext
from nnunet_pancext.io.durations import duration_text
from nnunet_pancext.io.files import PARTIAL_PREFIX, atomic_path, read_json
from nnunet_pancext.nnunet_files.case_files import CaseFiles
from nnunet_pancext.nnunet_files.dataset_json import NAME
from nnunet_pancext.nnunet_files.folders import PREPROCESSED, RAW, existing_folder
from nnunet_pancext.nnunet_files.plans_file import PLANNERS
from nnunet_pancext.nnunet_files.preprocessed import (
    FINGERPRINT,
    Preprocessed,
    cases_of,
    files_of_case,
    is_whole_case,
    preprocessed_cases,
    valid_json,
)
from nnunet_pancext.nnunet_files.splits_final import SPLITS_FILE, read_folds
from nnunet_pancext.splits.folds import FOLDS, nnunet_folds


def preprocess(target: Preprocessed, *, planner: str = "") -> None:
    """Make what is missing of a configuration; `planner` is as in the step.

    Raises:
        PancextError: the raw dataset is refused, the plans cannot be made or do not have the configuration, a
            case fails, or the disk is full.
    """
    with write_errors_as_pancext(target.folder, option=PREPROCESSED):
        target.folder.mkdir(parents=True, exist_ok=True)
        cases, ending = cases_of(target.dataset)
        with waiting_lock(target.folder / ".planning.lease"), ended_with_children():
            _remove_partial(target)
            _copy_folds(target)
            _plan(target, planner)
            for copy, label in target.labels_to_copy(cases, ending).items():
                copy.parent.mkdir(exist_ok=True)
                with atomic_path(copy) as partial:
                    shutil.copy2(label, partial)
        # A new object: the plans may be new.
        target = Preprocessed(dataset=target.dataset, plans=target.plans, configuration=target.configuration)
        with waiting_lock(lease_of_cases(target.data)):
            _make_cases(target, cases)
        with waiting_lock(target.folder / ".planning.lease"):
            _make_folds(target)


def _remove_partial(target: Preprocessed) -> None:
    """Remove what a killed run left, but not the files by which others ask for a lease."""
    for stale in (*target.folder.glob(f"{PARTIAL_PREFIX}*.json"), *target.truth.glob(f"{PARTIAL_PREFIX}*")):
        stale.unlink()


def _copy_folds(target: Preprocessed) -> None:
    """Copy the folds that come with the raw dataset, as nnU-Net's planner would, but whole or not at all."""
    source, folds = existing_folder(RAW) / target.dataset / SPLITS_FILE, target.folder / SPLITS_FILE
    if source.is_file() and not folds.exists():
        with atomic_path(folds) as partial:
            shutil.copyfile(source, partial)


def _plan(target: Preprocessed, planner: str) -> None:
    """Let nnU-Net make the fingerprint and the plans, if they are missing or were left unfinished."""
    from nnunetv2.configuration import default_num_processes
    from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import (
        DatasetFingerprintExtractor,
    )
    from nnunetv2.experiment_planning.plan_and_preprocess_api import plan_experiments
    from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity

    fingerprint = target.folder / FINGERPRINT
    unfinished = [
        path for path in (fingerprint, target.plans_file, target.folder / NAME) if valid_json(path) is None
    ]
    for path in unfinished:
        set_aside(path)
    raw = existing_folder(RAW) / target.dataset
    if target.plans_file in unfinished:
        planner = planner or planner_of(target)
        print(f"checking {target.dataset}", flush=True)
        try:
            verify_dataset_integrity(str(raw), default_num_processes)
        except (AssertionError, RuntimeError) as error:
            raise PancextError(
                f"nnU-Net refuses the raw dataset {raw}: {error}. `pancext check {target.dataset}` says more."
            ) from error
    if fingerprint in unfinished:
        print(f"extracting the fingerprint of {target.dataset}", flush=True)
        DatasetFingerprintExtractor(target.dataset, default_num_processes).run()
    if target.plans_file in unfinished:
        print(f"planning {target.dataset} with {planner}", flush=True)
        plan_experiments([target.dataset], planner, overwrite_plans_name=target.plans)
    if not (target.folder / NAME).is_file():
        with atomic_path(target.folder / NAME) as partial:
            shutil.copyfile(raw / NAME, partial)


def planner_of(target: Preprocessed) -> str:
    """Return nnU-Net's planner that writes plans of this name; PancextError where there is none."""
    if target.plans not in PLANNERS:
        raise PancextError(
            f"There is no {target.plans_file}, and none of nnU-Net's planners writes plans of this name, but "
            f"{', '.join(PLANNERS)}. Make the plans first, or name the step's planner."
        )
    return PLANNERS[target.plans]


def _make_cases(target: Preprocessed, cases: Mapping[str, CaseFiles]) -> None:
    """Preprocess the missing cases, several at a time, and unpack them where nnU-Net would."""
    from nnunetv2.configuration import default_num_processes
    from nnunetv2.training.dataloading.nnunet_dataset import infer_dataset_class
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
    from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

    _ = target.settings  # a configuration that the plans do not have is reported here
    data = target.data
    parts = data.with_name(f".{data.name}.partial")
    shutil.rmtree(parts, ignore_errors=True)  # of a killed run
    data.mkdir(exist_ok=True)
    _set_aside_left_over(target, cases)
    missing = target.missing(cases)
    print(
        f"{target.data.name}: {len(cases) - len(missing)} of {counted(len(cases), 'case')} are complete",
        flush=True,
    )
    if missing:
        plans = PlansManager(str(target.plans_file))
        configuration = plans.get_configuration(target.configuration)
        dataset_json = read_json(target.folder / NAME, expect=dict)
        files = get_filenames_of_train_images_and_targets(
            str(existing_folder(RAW) / target.dataset), dataset_json
        )
        if lost := [case for case in missing if case not in files]:
            raise PancextError(
                f"nnU-Net does not find the images of {', '.join(lost)}. Check that they are files, or links "
                "to existing files."
            )
        preprocessor = configuration.preprocessor_class(verbose=False)
        jobs = {
            case: (files[case]["images"], files[case]["label"], plans, configuration, dataset_json)
            for case in missing
        }
        for number, (case, seconds) in enumerate(
            _run(preprocessor, jobs, data=data, parts=parts, processes=default_num_processes), start=1
        ):
            done = f"{len(cases) - len(missing) + number} of {len(cases)}"
            print(f"{CASE_LINE}{case} ({done}), {duration_text(seconds)}", flush=True)
    shutil.rmtree(parts, ignore_errors=True)
    infer_dataset_class(str(data)).unpack_dataset(
        str(data), overwrite_existing=False, num_processes=default_num_processes, verify=True
    )


def _set_aside_left_over(target: Preprocessed, cases: Mapping[str, CaseFiles]) -> None:
    """Move away the cases that the raw dataset no longer has, which nnU-Net would have deleted."""
    left_over = target.left_over(cases)
    if not left_over:
        return
    removed = target.data.with_name(f"{PREFIX}cases-of-{target.data.name}")
    removed.mkdir(exist_ok=True)
    for case in left_over:
        for path in files_of_case(target.data, case):
            os.replace(path, removed / path.name)
    print(f"{', '.join(sorted(left_over))}: no longer in the raw dataset; moved to {removed}", flush=True)


def _run(
    preprocessor: Any, jobs: Mapping[str, tuple], *, data: Path, parts: Path, processes: int
) -> Iterator[tuple[str, float]]:
    """Yield each case when it is whole, and its seconds."""
    processes = min(processes, len(jobs))
    if processes == 1:  # a new process takes seconds to import nnU-Net
        for case, job in jobs.items():
            yield case, _make_case(preprocessor, case, job, data, parts)
        return
    executor = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))
    try:
        futures = {
            executor.submit(_make_case, preprocessor, case, job, data, parts): case
            for case, job in jobs.items()
        }
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise PancextError(
            f"A process that preprocesses a case of {data.name} was killed, probably for lack of memory. Set "
            f"nnUNet_def_n_proc, now {processes}, to a smaller number of processes, and run the step again."
        ) from error
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _make_case(preprocessor: Any, case: str, job: tuple, data: Path, parts: Path) -> float:
    """Preprocess one case, move its files to the others, and return the seconds that it took."""
    start = time.monotonic()
    part = parts / case
    part.mkdir(parents=True)
    try:
        preprocessor.run_case_save(str(part / case), *job)
    except Exception as error:
        traceback.print_exc()
        raise PancextError(
            f"{case} cannot be preprocessed ({type(error).__name__}: {error}). Correct it, and see what "
            "`pancext check` says about the dataset."
        ) from error
    if not is_whole_case(part, case, made_from=CaseFiles()):
        raise PancextError(
            f"{case} was not written completely to {part}. Check the disk and the space on it."
        )
    for path in files_of_case(data, case):
        path.unlink()
    for path in reversed(files_of_case(part, case)):  # what marks the case whole comes last
        os.replace(path, data / path.name)
    part.rmdir()
    return time.monotonic() - start


def _make_folds(target: Preprocessed) -> None:
    """Write the folds that nnU-Net's first training would write, so that several can start together."""
    from batchgenerators.utilities.file_and_folder_operations import save_json

    file = target.folder / SPLITS_FILE
    if file.exists():
        read_folds(file)
        return
    folds = nnunet_folds(preprocessed_cases(target.data))
    if folds is None:
        print(
            f"fewer than {FOLDS} cases, so nnU-Net makes no folds: only fold all can be trained",
            flush=True,
        )
        return
    with atomic_path(file) as partial:
        save_json(folds, str(partial))


@with_exit_code
def main(arguments: Sequence[str] | None = None) -> None:
    """Run as a step's command does."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("dataset", "plans", "configuration"):
        parser.add_argument(name)
    parser.add_argument("--planner", default="")
    parsed = parser.parse_args(arguments)
    target = Preprocessed(dataset=parsed.dataset, plans=parsed.plans, configuration=parsed.configuration)
    preprocess(target, planner=parsed.planner)


if __name__ == "__main__":
    sys.exit(main())
