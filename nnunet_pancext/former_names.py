"""Python names of version 0.1 that have changed: they still work, with a DeprecationWarning."""

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


def _folders(lines: str) -> dict[str, str]:
    moves = (line.split() for line in lines.splitlines())
    names = ((f"{former}.{name}", f"{present}.{name}") for former, present, *names in moves for name in names)
    return {f"{ROOT}.{former.lstrip('.')}": f"{ROOT}.{present}" for former, present in names}


# Modules that have moved: former folder, present folder, and their names, which stay.
MOVED = _folders("""\
. io durations files parallel progress_interval
comparison nnunet_files models
comparison_report comparison.output cases_and_training files
dataset_conversion dataset_conversion.layouts acdc msd nih synapse
dataset_conversion io disk
dataset_conversion raw_cases case_checks dicom_series image_scan orientation source
demo nnunet_commands console
evaluation io label_maps
evaluation nnunet_files dataset_json
model_report nnunet_files model_folder
nifti io voxel_hash
reports attention heatmap
reports comparison.output side_by_side
reports dataset_check slice_overlay
reports evaluation totals_table
reports figures charts layout overlay panel
reports pages numbers page pictures text_table
trainers trainers.machinery base cascade_roles catalogue default_plan finite_loss iteration_progress
trainers trainers.machinery loss_weights network paper_recipe peak_memory plan_levels plan_setting seeding
trainers trainers.machinery shared_boundary suffixes
""")
# Modules that have another name: the former and the present one.
MOVED |= _table("""\
architectures.blocks.light_attention architectures.blocks.localization
architectures.blocks.residual architectures.blocks.conv
architectures.parameters architectures.segmentation_network
attention.write attention.heatmap
comparison.csv_tables comparison.output.files
comparison.network_cost comparison.cost
comparison.patients comparison.results
comparison.probabilities comparison.scored_cases
comparison.scoring comparison.scored_cases
comparison.worst comparison.scored_cases
dataset_check.channels dataset_check.measure
dataset_conversion.archive_formats dataset_conversion.archive
dataset_conversion.files_below io.files
dataset_conversion.folds_in_place nnunet_files.splits_final
dataset_conversion.msd_declaration dataset_conversion.layouts.msd
dataset_conversion.published_splits splits.published
dataset_conversion.raw_dataset dataset_conversion.target
dataset_conversion.slices dataset_conversion.layouts.png_slices
dataset_conversion.split_files splits.of_dataset
dataset_conversion.splits splits.make
demo.commands nnunet_commands.runner
demo.facts demo.page
demo.held_out demo.split
demo.host_progress nnunet_commands.progress
doctor.folders doctor.machine
doctor.hardware doctor.machine
doctor.report doctor.check
doctor.workers doctor.settings
evaluation.spread evaluation.scores
evaluation.structure_measure evaluation.per_slice
host_allocator trainers.machinery.allocator
image_io io.images
model_report.attention model_report.case_figures
model_report.charts model_report.build
model_report.gallery model_report.case_figures
nifti.scan io.nifti_scan
patients nnunet_files.raw_dataset
phantom.layers phantom.shapes
reports.breakable pages.page
reports.comparison_cells comparison.output.cells
reports.comparison_latex comparison.output.latex
reports.comparison_names comparison.output.cells
reports.comparison_page comparison.output.page
reports.comparison_text comparison.output.console
reports.console demo.page
reports.html demo.page
reports.latex comparison.output.latex_table
reports.model_page model_report.tables
reports.score_html evaluation.totals_table
reports.slices figures.panel
reports.sortable pages.page
reproduction.choices reproduction.selection
reproduction.columns reproduction.protocol
reproduction.estimate reproduction.dry_run
reproduction.extras reproduction.requirements
reproduction.results reproduction.comparison
trainers.host trainers.machinery.nnunet
trainers.overview cli.trainer_table
training_record nnunet_files.training_log
""")
# Former and present name of functions and classes.
RENAMED = _table("""\
architectures.blocks.linear_head architectures.blocks.head.conv1x1_head
architectures.blocks.map_convolution architectures.blocks.head.map_head
architectures.blocks.start_at architectures.blocks.head.init_prior_bias
comparison.truth.find_truths nnunet_files.raw_dataset.find_ground_truth
dataset_conversion.dicom_series.read_volume raw_cases.dicom_series.read_series
dataset_conversion.disk.told_write_errors io.disk.write_errors_as_pancext
dataset_conversion.files_below.visible_files io.files.walk_visible_files
dataset_conversion.orientation.Turn raw_cases.orientation.Reorientation
dataset_conversion.split_files.Leak dataset_check.leakage.Leakage
dataset_conversion.split_files.find_dataset nnunet_files.raw_dataset.find_dataset
dataset_conversion.split_files.find_leaks dataset_check.leakage.find_leakage
dataset_conversion.split_files.read_dataset nnunet_files.raw_dataset.read_dataset
dataset_conversion.splits.five_folds splits.folds.nnunet_folds
errors.HostCommandError errors.NNUNetCommandError
evaluation.spread.Spread evaluation.scores.SummaryStatistics
evaluation.spread.spread evaluation.scores.summary_statistics
patients.told_patients nnunet_files.raw_dataset.recorded_patients
reproduction.plan.TrainingLength campaign.training_length.TrainingLength
reproduction.plan.training_length campaign.training_length.training_length
reproduction.run.needs_extra reproduction.requirements.needs_extra
reproduction.steps.placeholders reproduction.campaign.placeholders
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
        present = import_module(MOVED[self.__name__]) if self.__name__ in MOVED else None
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
