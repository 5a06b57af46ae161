"""A process that predicts in one way, for `prediction.py`: stock nnU-Net, or a speed of `pancext predict`.

python benchmarks/prediction_worker.py WAY MODEL_FOLDER

Each line on standard input, {"images": [...], "out": ...}, is a case; each line on standard output is what it
took. The model is loaded once. `stock` is nnUNetPredictor as nnUNetv2_predict runs it, without its processes
for reading and writing, which would use further processors.
"""

import io
import json
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from report import forget_peak, memory_mb

STOCK = "stock"
FOLDS = ("0",)
CHECKPOINT = "checkpoint_final.pth"
CPU = torch.device("cpu")
Predict = Callable[[dict[str, Any]], dict[str, Any]]


def stock(model: Path) -> Predict:
    """Return nnU-Net's own prediction of a case."""
    from nnunetv2.inference import predict_from_raw_data as nnunet

    predictor = nnunet.nnUNetPredictor(device=CPU, perform_everything_on_device=False, allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(model), FOLDS, CHECKPOINT)
    seconds: dict[str, float] = {}

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*words: Any, **options: Any) -> Any:
            started = time.perf_counter()
            result = function(*words, **options)
            seconds[name] = time.perf_counter() - started
            return result

        return run

    network, windows = (
        predictor.predict_logits_from_preprocessed_data,
        predictor._internal_maybe_mirror_and_predict,
    )
    counted = [0]

    def count(*words: Any) -> Any:
        counted[0] += 1
        return windows(*words)

    predictor.predict_logits_from_preprocessed_data = timed("network", network)
    predictor._internal_maybe_mirror_and_predict = count

    def predict(case: dict[str, Any]) -> dict[str, Any]:
        counted[0] = 0
        write = timed("export and write", nnunet.export_prediction_from_logits)
        with mock.patch.object(nnunet, "export_prediction_from_logits", write):
            predictor.predict_from_files_sequential([case["images"]], [case["out"]])
        flips = 2 ** len(predictor.allowed_mirroring_axes or ())
        return {"windows": counted[0], "forwards": counted[0] * flips, "seconds": dict(seconds)}

    return predict


def faster(speed: str, model: Path) -> Predict:
    """Return the prediction of a case at a speed of `pancext predict`."""
    from nnunet_pancext.inference.export import export
    from nnunet_pancext.inference.logits import Request
    from nnunet_pancext.inference.predict import predict_logits
    from nnunet_pancext.inference.prepared_image import prepare
    from nnunet_pancext.inference.trained_folds import TrainedFolds
    from nnunet_pancext.prediction.training_volumes import plausible_volumes_ml
    from nnunet_pancext.trainers.machinery.allocator import keep_freed_memory

    keep_freed_memory()
    folds = TrainedFolds(model, FOLDS, checkpoint=CHECKPOINT, device=CPU)
    request = Request(plausible_ml=plausible_volumes_ml(model))
    reader = folds.plans.image_reader_writer_class()

    def predict(case: dict[str, Any]) -> dict[str, Any]:
        image = prepare(folds, *reader.read_images(case["images"]))
        started = time.perf_counter()
        logits = predict_logits(folds, image, speed=speed, request=request)
        predicted = time.perf_counter()
        label_map, _ = export(folds, image, logits)
        ending = folds.dataset.file_ending
        reader.write_seg(label_map, case["out"] + ending, image.properties)
        passes = logits.passes
        return {
            "windows": passes.windows,
            "coarse": passes.coarse_windows,
            "forwards": passes.forwards,
            "growths": passes.growths,
            "fallback": passes.fallback,
            "seconds": {
                "network": predicted - started,
                "export and write": time.perf_counter() - predicted,
            },
        }

    return predict


def main(way: str, model: str) -> None:
    """Answer each line until standard input ends."""
    with redirect_stdout(io.StringIO()):
        predict = stock(Path(model)) if way == STOCK else faster(way, Path(model))
    loaded = memory_mb("VmRSS")
    print(json.dumps({"loaded": loaded}), flush=True)
    for line in sys.stdin:
        forget_peak()
        started, processor = time.perf_counter(), time.process_time()
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            answer = predict(json.loads(line))
        answer["seconds"]["total"] = time.perf_counter() - started
        answer["seconds"]["processor"] = time.process_time() - processor
        print(json.dumps({**answer, "megabytes": memory_mb("VmHWM") - loaded}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
