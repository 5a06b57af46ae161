"""How each speed changes a model's results, measured on its validation cases and saved beside it."""

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch.nn.functional import pad

from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.targets import read_targets
from nnunet_pancext.inference.export import LabelMap, export
from nnunet_pancext.inference.logits import Logits, Region, Request
from nnunet_pancext.inference.predict import WAYS, Speed, predict_logits
from nnunet_pancext.inference.prepared_image import PreparedImage, prepare
from nnunet_pancext.inference.trained_folds import TrainedFolds
from nnunet_pancext.io.files import scratch_path, write_json
from nnunet_pancext.model_sharing.unpack import sha256_of
from nnunet_pancext.pages.text_table import text_table
from nnunet_pancext.prediction.models import ChosenModel
from nnunet_pancext.prediction.reading import CaseImage, CaseReader
from nnunet_pancext.prediction.record import versions
from nnunet_pancext.prediction.self_test.kept import FILE, SCHEMA_VERSION, SHIFTED
from nnunet_pancext.prediction.self_test.scores import Differences
from nnunet_pancext.prediction.self_test.validation_cases import ValidationCase, choose_validation_cases
from nnunet_pancext.prediction.training_volumes import plausible_volumes_ml

DEFAULT_CASES = 10
EXACT: Speed = "exact"
MEASURED: dict[str, tuple[Speed, bool]] = {  # speed, and whether the grid is shifted
    **{speed: (speed, False) for speed in WAYS},
    SHIFTED: (EXACT, True),
}
RIM = 8  # of the patch, the part by which the grid is shifted


def run_self_test(
    model: ChosenModel,
    *,
    cases: int = DEFAULT_CASES,
    device: torch.device,
    allow: Collection[str] = (),
    announce: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Predict validation cases in every way, each with the fold that was not trained on it; keep the result.

    The ways are those of `--speed`, and `exact` on a shifted grid: its change is the noise of nnU-Net's own
    prediction, a scale for the others. The file is self_test.json in the model's folder. `announce` is called
    before each case, and for each that cannot be read.

    Raises:
        PancextError: there are no validation cases, none can be read, or the folder cannot be written.
    """
    if cases < 1:
        raise PancextError(f"--cases {cases}: the self-test needs at least 1 case.")
    target = model.folder / FILE
    _require_writable(target)
    chosen = choose_validation_cases(model, cases)
    targets = read_targets(model.dataset.labels)
    ways = {way: Differences() for way in MEASURED}
    reader = CaseReader(model)
    stages: list[TrainedFolds] = []
    volumes = [plausible_volumes_ml(stage.folder, announce=announce) for stage in model.stages]
    for number, case in enumerate(chosen, start=1):
        announce(f"case {number} of {len(chosen)}, fold {case.fold}")
        try:
            image, reference = reader.read(case.case), _read_reference(reader, case)
        except PancextError as error:
            announce(f"left out: {error}")
            continue
        if not stages or stages[-1].folds != (case.fold,):
            stages.clear()  # before the next fold takes memory
            stages += [_load(stage, case.fold, device=device, allow=allow) for stage in model.stages]
        exact: LabelMap | None = None
        for way, differences in ways.items():
            started = monotonic()
            label_map = _predict(stages, image, *MEASURED[way], volumes=volumes)
            seconds = monotonic() - started
            exact = label_map if exact is None else exact  # the first way
            differences.add(label_map, exact=exact, reference=reference, targets=targets, seconds=seconds)
    if not ways[EXACT].dice:
        raise PancextError(
            f"The self-test of {model.folder.name} cannot run: none of its {len(chosen)} validation "
            "cases can be read. Check the images in nnUNet_raw with pancext check."
        )
    result = {
        "schema_version": SCHEMA_VERSION,
        "cases": len(ways[EXACT].dice),
        "folds": sorted({case.fold for case in chosen}),
        "device": device.type,
        "ways": {way: differences.summary(ways[EXACT].dice) for way, differences in ways.items()},
        "versions": versions(),
        "sha256": {
            os.path.relpath(file, model.folder): sha256_of(file)
            for stage in model.stages
            for file in replace(stage, folds=tuple(sorted({case.fold for case in chosen}))).files
        },
    }
    try:
        write_json(target, result)
    except OSError as error:
        raise _cannot_keep(target, error) from error
    return result


def self_test_table(result: dict[str, Any]) -> str:
    """Return the result as aligned text: a row for each way and label."""
    heading = ["", "label", "Dice", "change: mean", "SD", "largest loss", "agreement", "s per case"]
    rows = [heading]
    for way, measured in result["ways"].items():
        seconds = f"{measured['seconds_per_case']:.1f}"
        for label, figures in measured["labels"].items():
            change = figures["dice_change"]
            spread = "" if change["sd"] is None else f"{change['sd']:.4f}"
            agreement = f"{figures['agreement']['mean']:.4f}"
            loss = f"{change['largest_loss']:.4f}"
            rows.append(
                [
                    way,
                    label,
                    f"{figures['dice']:.3f}",
                    f"{change['mean']:+.4f}",
                    spread,
                    loss,
                    agreement,
                    seconds,
                ]
            )
    return text_table(rows, left=(0, 1))


def shift_grid(image: PreparedImage, patch_size: Sequence[int]) -> tuple[PreparedImage, list[int]]:
    """Return the image with a rim at the start of each axis, so that windows lie elsewhere, and the rim.

    The rim is an eighth of the patch, in voxels (slice, row, column), none along slices in 2D; it repeats the
    voxels at the image's edge.
    """
    shape = image.data.shape[1:]
    rim = [0] * (len(shape) - len(patch_size)) + [size // RIM for size in patch_size]
    margins = [margin for length in reversed(rim) for margin in (length, 0)]
    return replace(image, data=pad(image.data[None], margins, mode="replicate")[0]), rim


def without_rim(logits: Logits, rim: Sequence[int]) -> Logits:
    """Return logits of the whole image without the rim at the start of each axis."""
    (region,) = logits.regions
    kept = region.logits[:, rim[0] :, rim[1] :, rim[2] :].contiguous()
    depth, height, width = kept.shape[1:]
    whole = Region((slice(0, depth), slice(0, height), slice(0, width)), kept)
    return replace(logits, shape=(depth, height, width), regions=(whole,))


def _predict(
    stages: Sequence[TrainedFolds],
    image: CaseImage,
    speed: Speed,
    is_shifted: bool,
    *,
    volumes: Sequence[tuple[float, float] | None],
) -> LabelMap:
    """Return the label map (slice, row, column) after all stages."""
    label_map: LabelMap | None = None
    for folds, plausible_ml in zip(stages, volumes, strict=True):
        prepared = prepare(folds, image.voxels, image.properties, previous=label_map)
        request = Request(plausible_ml=plausible_ml)
        if is_shifted:
            shifted, rim = shift_grid(prepared, folds.patch_size)
            logits = predict_logits(folds, shifted, speed=speed, request=request)
            logits = without_rim(logits, rim)
        else:
            logits = predict_logits(folds, prepared, speed=speed, request=request)
        label_map, _ = export(folds, prepared, logits)
    assert label_map is not None
    return label_map


def _load(stage: ChosenModel, fold: str, *, device: torch.device, allow: Collection[str]) -> TrainedFolds:
    return TrainedFolds(stage.folder, (fold,), checkpoint=stage.checkpoint, device=device, allow=allow)


def _read_reference(reader: CaseReader, case: ValidationCase) -> LabelMap:
    """Return a label map (slice, row, column) as nnU-Net's reader gives it."""
    try:
        return reader.reader_class().read_seg(str(case.truth))[0][0].astype(int)
    except Exception as error:  # of whatever library nnU-Net's class uses
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise PancextError(f"{case.truth.name} cannot be read ({reason}).") from error


def _require_writable(target: Path) -> None:
    try:
        with scratch_path(target) as test:
            test.touch()
    except OSError as error:
        raise _cannot_keep(target, error) from error


def _cannot_keep(target: Path, error: OSError) -> PancextError:
    return PancextError(
        f"The self-test is saved beside the model, but {target} cannot be written: {error.strerror}. Copy "
        "the model to a folder of your own and give it with -m."
    )
