"""Cuts a raw dataset out of another one: `python -m nnunet_pancext.campaign.workers.crop FOLDER STEP`."""

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from nnunet_pancext.campaign.definition import read_campaign
from nnunet_pancext.campaign.kinds.crop import REPORT, Crop, as_recorded
from nnunet_pancext.campaign.workers.exit_code import with_exit_code
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import counted
from nnunet_pancext.io.disk import write_errors_as_pancext
from nnunet_pancext.io.files import read_json, write_json
from nnunet_pancext.io.image_writing import with_geometry, write_image
from nnunet_pancext.io.images import read_image
from nnunet_pancext.io.label_maps import read_label_map, read_volume, require_same_grid
from nnunet_pancext.io.parallel import for_each
from nnunet_pancext.io.replace_folder import replaced_folder
from nnunet_pancext.nnunet_files.case_files import CaseFiles, testing_files, training_files
from nnunet_pancext.nnunet_files.dataset_json import NAME, DatasetJson, read_dataset_json
from nnunet_pancext.nnunet_files.folders import RAW, set_folder
from nnunet_pancext.nnunet_files.out_of_fold import find_out_of_fold
from nnunet_pancext.nnunet_files.splits_final import Folds, folds_file, place_folds, read_folds
from nnunet_pancext.raw_cases.region_box import cut, region_box

SPLIT = "split.json"


def crop_dataset(step: Crop, folder: Path, *, jobs: int | None = None) -> dict[str, Any]:
    """Write the dataset of a step, whole or not at all, and return its report.

    Raises:
        PancextError: predictions are missing, or of folds that were trained on the case, or on another grid;
            a label is not declared; the dataset cannot be written.
    """
    source = read_dataset_json(set_folder(RAW) / step.source / NAME)
    training = {case: files for case, files in training_files(source).items() if files.images}
    test = {case: files for case, files in testing_files(source).items() if files.images}
    folders = [step.predictions(folder, path) for path in step.train_predictions]
    coarse = find_out_of_fold(folders, list(training))
    predictions, notes = dict(coarse.predictions), []
    if step.test_predictions:
        of_test = step.predictions(folder, step.test_predictions)
        predictions |= _test_predictions(of_test, test, coarse.declared)
    elif test:
        notes.append(f"without test_predictions, the test cases of {step.source} are left out: {len(test)}")
        test = {}
    own = folds_file(step.source)
    folds = read_folds(own) if own is not None and own.is_file() else coarse.folds
    region, kept = _region_values(coarse.declared, step), _kept_values(source, step)
    result = step.result(folder)
    with write_errors_as_pancext(result), replaced_folder(result) as target:
        cropping = Cropping(
            region=region, margin_mm=step.margin_mm, kept=kept, ending=source.file_ending, target=target
        )
        items = [(case, "Tr", files) for case, files in training.items()]
        items += [(case, "Ts", files) for case, files in test.items()]
        cases = for_each(
            lambda item: cropping.write(*item, prediction=predictions[item[0]]),
            items,
            jobs=jobs,
            title="cropping",
            show_progress=True,
        )
        report = {
            "options": as_recorded(step.options()),
            "cases": {case: made for (case, *_), made in zip(items, cases, strict=True)},
            "folds": folds,
            "notes": notes,
        }
        _write_declarations(source, target, step=step, kept=kept, training=len(training), folds=folds)
        place_folds(folds, dataset=step.dataset)
        write_json(target / REPORT, report)
    return report


@dataclass(frozen=True, kw_only=True)
class Cropping:
    """How cases are cut and where they are written; `kept` has the new value of each label that is kept."""

    region: frozenset[int]
    margin_mm: tuple[float, ...]
    kept: Mapping[int, int] | None
    ending: str
    target: Path

    def write(self, case: str, subset: str, files: CaseFiles, *, prediction: Path) -> dict[str, Any]:
        """Write a case's images and label map, and return its part of the report."""
        predicted = read_label_map(prediction)
        first = files.images[min(files.images)]
        truth = None
        if files.label is not None:  # a test case may have none
            truth = read_label_map(files.label)
        require_same_grid(
            predicted,
            read_volume(first) if truth is None else truth,
            what=f"{prediction} and {files.label or first}",
            remedy="Predict the case's own image.",
        )
        values = sitk.GetArrayViewFromImage(predicted)
        spacing_mm = _spacing_mm(first, case, default=predicted.GetSpacing()[::-1])
        found = region_box(
            np.isin(values, list(self.region)), margin_mm=self.margin_mm, spacing_mm=spacing_mm
        )
        box = found or tuple(slice(0, length) for length in values.shape)
        for channel, path in files.images.items():
            image = read_image(path)
            if image.GetSize()[:3] != predicted.GetSize()[: image.GetDimension()]:
                raise PancextError(
                    f"{path} has the size {image.GetSize()}, its prediction {prediction} "
                    f"{predicted.GetSize()}. Predict the case's own image."
                )
            self._write(cut(image, box), f"images{subset}", f"{case}_{channel:04d}", beside=path, case=case)
        lost = 0
        if truth is not None and files.label is not None:
            marked = sitk.GetArrayViewFromImage(truth) > 0
            lost = int(np.count_nonzero(marked) - np.count_nonzero(marked[box]))
            label = cut(read_image(files.label), box)
            label = label if self.kept is None else _only(label, self.kept)
            self._write(label, f"labels{subset}", case, beside=files.label, case=case)
        return {
            "subset": subset,
            "prediction": str(prediction),
            "size": list(values.shape),
            "box": [[side.start, side.stop] for side in box],
            "is_empty": found is None,
            "lost_voxels": lost,
        }

    def _write(self, image: sitk.Image, folder: str, name: str, *, beside: Path, case: str) -> None:
        target = self.target / folder / f"{name}{self.ending}"
        write_image(image, target)
        spacing = beside.with_name(f"{case}.json")  # of a TIFF, which does not store it
        if spacing.is_file():
            shutil.copyfile(spacing, target.with_name(spacing.name))


def _spacing_mm(image: Path, case: str, *, default: tuple[float, ...]) -> tuple[float, ...]:
    """Return the spacing (slice, row, column), from the JSON file of a TIFF where there is one."""
    beside = image.with_name(f"{case}.json")
    return tuple(read_json(beside, expect=dict)["spacing"]) if beside.is_file() else default


def _only(label: sitk.Image, kept: Mapping[int, int]) -> sitk.Image:
    values = sitk.GetArrayViewFromImage(label)
    mapped = np.zeros(values.shape, np.uint8)
    for value, new in kept.items():
        mapped[values == value] = new
    return with_geometry(mapped, label)


def _region_values(declared: DatasetJson, step: Crop) -> frozenset[int]:
    """Return the values of the labels that are the region."""
    unknown = [name for name in step.labels if name not in declared.values]
    if unknown or not step.labels:
        raise PancextError(
            f"labels of {step.name}: {', '.join(unknown) or 'none given'}; the model that predicts has "
            f"{', '.join(declared.values)} ({declared.path}). Name some of these."
        )
    return frozenset(value for name in step.labels for value in declared.values[name]) - {0}


def _kept_values(source: DatasetJson, step: Crop) -> dict[int, int] | None:
    """Return the new value of each label that is kept; None where all stay as they are."""
    if not step.keep:
        return None
    single = {name: value for name, value in source.labels.items() if isinstance(value, int) and value}
    unknown = [name for name in step.keep if name not in single]
    if unknown:
        raise PancextError(
            f"keep of {step.name}: {', '.join(unknown)} is not a single-value label of {step.source}. "
            f"Choose from: {', '.join(single)}."
        )
    values = sorted(single[name] for name in step.keep)
    return {value: new for new, value in enumerate(values, start=1)}


def _test_predictions(folder: Path, test: Mapping[str, CaseFiles], declared: DatasetJson) -> dict[str, Path]:
    found = {case: folder / f"{case}{declared.file_ending}" for case in test}
    missing = [case for case, path in found.items() if not path.is_file()]
    if missing:
        raise PancextError(
            f"{folder} has no prediction of {counted(len(missing), 'test case')}, {missing[0]} first. "
            "Predict them all."
        )
    return found


def _write_declarations(
    source: DatasetJson,
    target: Path,
    *,
    step: Crop,
    kept: Mapping[int, int] | None,
    training: int,
    folds: Folds,
) -> None:
    content = {key: value for key, value in source.content.items() if key != "dataset"}
    content |= {"name": step.dataset, "numTraining": training}
    if kept is not None:
        named = {kept[value]: name for name, (value, *_) in source.values.items() if value in kept}
        content["labels"] = {"background": 0, **{named[value]: value for value in sorted(named)}}
        content.pop("regions_class_order", None)
    write_json(target / NAME, content)
    split = source.path.parent / SPLIT
    if split.is_file():  # which patient a case is of
        write_json(target / SPLIT, {**read_json(split, expect=dict), "folds": folds})


@with_exit_code
def main(folder: str, name: str) -> None:
    """Write the dataset of a campaign's step."""
    step = read_campaign(Path(folder)).step(name)
    if not isinstance(step, Crop):
        raise PancextError(f"{name} is of kind {step.kind}, not crop.")
    crop_dataset(step, Path(folder))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
