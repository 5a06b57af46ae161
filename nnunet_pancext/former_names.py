"""Python names of version 0.1 that have changed: they still work, with a DeprecationWarning."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

ROOT = "nnunet_pancext"


def _table(lines: str) -> dict[str, str]:
    pairs = map(str.split, lines.splitlines())
    return {f"{ROOT}.{former}": f"{ROOT}.{present}" for former, present in pairs}


# Former and present name of each module that has moved.
MOVED = _table("""\
comparison.csv_tables comparison.output.files
comparison.models nnunet_files.models
comparison_report.cases_and_training comparison.output.cases_and_training
comparison_report.files comparison.output.files
dataset_conversion.raw_dataset dataset_conversion.target
dataset_conversion.acdc dataset_conversion.layouts.acdc
dataset_conversion.case_checks raw_cases.case_checks
dataset_conversion.dicom_series raw_cases.dicom_series
dataset_conversion.disk io.disk
dataset_conversion.files_below io.files
dataset_conversion.folds_in_place nnunet_files.splits_final
dataset_conversion.image_scan raw_cases.image_scan
dataset_conversion.msd dataset_conversion.layouts.msd
dataset_conversion.msd_declaration dataset_conversion.layouts.msd_declaration
dataset_conversion.nih dataset_conversion.layouts.nih
dataset_conversion.orientation raw_cases.orientation
dataset_conversion.published_splits splits.published
dataset_conversion.slices dataset_conversion.layouts.png_slices
dataset_conversion.source raw_cases.source
dataset_conversion.split_files splits.of_dataset
dataset_conversion.splits splits.make
dataset_conversion.synapse dataset_conversion.layouts.synapse
demo.commands nnunet_commands.runner
demo.console nnunet_commands.console
demo.held_out demo.split
demo.host_progress nnunet_commands.progress
doctor.workers doctor.settings
durations io.durations
evaluation.dataset_json nnunet_files.dataset_json
evaluation.label_maps io.label_maps
evaluation.spread evaluation.scores
files io.files
host_allocator trainers.machinery.allocator
image_io io.images
model_report.model_folder nnunet_files.model_folder
nifti.scan io.nifti_scan
nifti.voxel_hash io.voxel_hash
parallel io.parallel
patients nnunet_files.patients
progress_interval io.progress_interval
reports.breakable pages.page
reports.charts figures.charts
reports.comparison_cells comparison.output.cells
reports.comparison_latex comparison.output.latex
reports.comparison_names comparison.output.cells
reports.comparison_page comparison.output.page
reports.comparison_text comparison.output.console
reports.console demo.score_table
reports.heatmap attention.heatmap
reports.html demo.page
reports.latex comparison.output.latex_table
reports.layout figures.layout
reports.model_page model_report.tables
reports.numbers pages.numbers
reports.overlay figures.overlay
reports.page pages.page
reports.panel figures.panel
reports.pictures pages.pictures
reports.score_html evaluation.totals_table
reports.side_by_side comparison.output.side_by_side
reports.slice_overlay dataset_check.slice_overlay
reports.slices figures.panel
reports.sortable pages.page
reports.text_table pages.text_table
reports.totals_table evaluation.totals_table
reproduction.choices reproduction.selection
reproduction.extras reproduction.run
trainers.base trainers.machinery.base
trainers.cascade_roles trainers.machinery.cascade_roles
trainers.catalogue trainers.machinery.catalogue
trainers.default_plan trainers.machinery.default_plan
trainers.finite_loss trainers.machinery.finite_loss
trainers.host trainers.machinery.nnunet
trainers.iteration_progress trainers.machinery.iteration_progress
trainers.local_batch_norm trainers.machinery.sync_batch_norm
trainers.loss_weights trainers.machinery.loss_weights
trainers.network trainers.machinery.network
trainers.overview cli.trainer_table
trainers.paper_recipe trainers.machinery.paper_recipe
trainers.peak_memory trainers.machinery.peak_memory
trainers.plan_levels trainers.machinery.plan_levels
trainers.plan_setting trainers.machinery.plan_setting
trainers.seeding trainers.machinery.seeding
trainers.shared_boundary trainers.machinery.shared_boundary
trainers.suffixes trainers.machinery.suffixes
training_record nnunet_files.training_log
""")
# Former and present name of functions and classes.
RENAMED = _table("""\
architectures.blocks.linear_head architectures.blocks.head.conv1x1_head
architectures.blocks.map_convolution architectures.blocks.head.map_head
architectures.blocks.start_at architectures.blocks.head.init_prior_bias
comparison.truth.find_truths nnunet_files.ground_truth.find_ground_truth
dataset_conversion.dicom_series.read_volume raw_cases.dicom_series.read_series
dataset_conversion.disk.told_write_errors io.disk.write_errors_as_pancext
dataset_conversion.files_below.visible_files io.files.walk_visible_files
dataset_conversion.orientation.Turn raw_cases.orientation.Reorientation
dataset_conversion.split_files.Leak splits.of_dataset.Leakage
dataset_conversion.split_files.find_dataset nnunet_files.raw_dataset.find_dataset
dataset_conversion.split_files.find_leaks splits.of_dataset.find_leakage
dataset_conversion.split_files.read_dataset nnunet_files.raw_dataset.read_dataset
dataset_conversion.splits.five_folds splits.folds.nnunet_folds
errors.HostCommandError errors.NNUNetCommandError
evaluation.spread.Spread evaluation.scores.SummaryStatistics
evaluation.spread.spread evaluation.scores.summary_statistics
patients.told_patients nnunet_files.patients.recorded_patients
reports.pictures.Shown pages.pictures.CaseFigure
""")


def former_name(module: str, name: str) -> Any:
    """Return what `name` was called in `module`: the last line of a module's `__getattr__`."""
    former = f"{module}.{name}"
    if former not in RENAMED:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    _warn(former, RENAMED[former], stacklevel=3)
    home, _, present = RENAMED[former].rpartition(".")
    return getattr(import_module(home), present)


class FormerModule(ModuleType):
    """A module under its former name, with its former names for what has been renamed since."""

    def __getattr__(self, name: str) -> Any:
        present = import_module(MOVED.get(self.__name__, ROOT))
        if name.startswith("__") or not hasattr(present, name):
            return former_name(self.__name__, name)
        return getattr(present, name)


class FormerModules(MetaPathFinder, Loader):
    """Imports a module by its former name."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(f"{ROOT}."):
            return None
        is_package = any(name.startswith(f"{fullname}.") for name in (*MOVED, *RENAMED))
        return ModuleSpec(fullname, self, is_package=is_package) if is_package or fullname in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return FormerModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ in MOVED:  # else it is a package that held moved modules
            _warn(module.__name__, MOVED[module.__name__], stacklevel=2)


def _warn(former: str, present: str, *, stacklevel: int) -> None:
    warnings.warn(
        f"{former} is now {present}. The former name goes with the next version.",
        DeprecationWarning,
        stacklevel=stacklevel + 1,
    )
