"""The benchmark of `pancext predict` takes its ratios case by case, and its networks fit their patches."""

import importlib.util
import json
import sys
from math import prod
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from contracts.made_preprocessed import SHAPE
from contracts.shared_models import Models, use_folders

from nnunet_pancext.checkpoints.trained_network import build_network, find_installed_trainer, sizes_of
from nnunet_pancext.demo.split import CaseFolders
from nnunet_pancext.inference import fast
from nnunet_pancext.trainers.machinery.default_plan import default_plans

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
DATASET_JSON = {
    "channel_names": {"0": "CT"},
    "labels": {"background": 0, "pancreas": 1, "cancer": 2},
    "file_ending": ".nii.gz",
}
INTENSITIES = {"mean": 90.0, "std": 40.0, "percentile_00_5": 0.0, "percentile_99_5": 200.0}


@pytest.fixture
def load(monkeypatch):
    """Load a script under a name of its own: the tests have a folder that is called as one of them."""
    monkeypatch.syspath_prepend(BENCHMARKS)

    def load_script(name):
        spec = importlib.util.spec_from_file_location(f"benchmark_{name}", BENCHMARKS / f"{name}.py")
        script = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, script)
        spec.loader.exec_module(script)
        return script

    return load_script


def row(way, case, total, *, model="3d", dice=0.9, organ=100, differing=0):
    """A row of a prediction, of which `total` seconds are half network and a tenth export."""
    return {
        "model": model,
        "way": way,
        "case": case,
        "organ": organ,
        "windows": 64,
        "forwards": 512,
        "fallback": "",
        "total": total,
        "network": total / 2,
        "export and write": total / 10,
        "processor": total,
        "megabytes": 50,
        "dice foreground": dice,
        "differing": differing,
        "foreground": organ,
    }


ROWS = [
    *(row("stock", "a", 10.0), row("fast", "a", 1.0, dice=0.88, differing=1)),
    *(row("stock", "b", 20.0, organ=200), row("fast", "b", 4.0, dice=0.93, organ=200, differing=2)),
    *(row("stock", "c", 10.0), row("fast", "c", 12.5)),
]


def test_ratios_are_taken_case_by_case(load):
    script = load("prediction")
    stock, found = (script.of_way(ROWS, "3d", way) for way in ("stock", "fast"))
    assert script.ratios(stock, found, "total") == pytest.approx([10, 5, 0.8])
    assert script.ratios(stock, found, "network", "export and write") == pytest.approx([10, 5, 0.8])


def test_the_table_has_the_median_ratio_and_the_largest_change(load):
    script = load("prediction")
    stock, found = (
        dict(zip(script.HEADING, line, strict=True)) for line in script.table(ROWS, "3d", ("stock", "fast"))
    )
    assert (stock["times sooner: median"], stock["change: mean"]) == ("1.00", "+0.0000")
    assert (found["times sooner: median"], found["slowest"]) == ("5.00", "0.80")
    assert (found["change: mean"], found["largest"]) == ("+0.0033", "+0.0300")
    assert found["voxels differing"] == "75.0 in 10,000"  # 3 of 400


def test_the_report_names_the_largest_organ_and_slow_cases(load, capsys):
    load("prediction").report(ROWS, ["3d"], ["stock", "fast"])
    shown = capsys.readouterr().out
    assert "### 3d, patch 16 x 48 x 48, 3 phantoms" in shown
    assert "fast took over 1.1 times stock's processor time: c (1.25)." in shown
    largest = shown[shown.index("the largest organ") :]
    assert "| fast | 64 | 512 | 4.00 | 5.00 | 5.00 |" in largest
    assert "too weak" not in shown


def test_a_way_that_was_not_measured_on_every_case_is_compared_on_the_others(load):
    script = load("prediction")
    (line,) = script.table(
        [row for row in ROWS if row["case"] != "b" or row["way"] == "stock"], "3d", ["fast"]
    )
    found = dict(zip(script.HEADING, line, strict=True))
    assert (found["times sooner: median"], found["whole image"]) == ("5.40", "0 of 2")  # of 10 and 0.8


def test_a_weak_model_is_named(load, capsys):
    load("prediction").report([row("stock", "a", 1.0, dice=0.5)], ["3d"], ["stock"])
    assert "too weak to be measured with: its Dice is 0.500, below 0.8." in capsys.readouterr().out


def test_the_two_stage_network_is_compared_way_by_way(load):
    script = load("prediction")
    seconds = {"stock": 30.0, "exact": 24.0, "balanced": 6.0, "fast": 3.0}
    rows = [row(way, "a", total, model="cascade") for way, total in seconds.items()]
    rows += [row(way, "a", 10.0, model="resenc") for way in seconds]
    found = {tuple(line[:2]): line[2] for line in script.pair_table(rows)}
    assert found["stock", "stock"] == "3.00"
    assert found["balanced", "stock"] == "0.60"
    assert found["fast", "stock"] == "0.30"
    assert found["fast", "fast"] == "0.30"


@pytest.mark.parametrize("name", ["3d", "2d"])
def test_the_small_network_takes_its_patch(load, name):
    models = load("prediction_models")
    recipe = models.RECIPES[name]
    plans = default_plans()
    configuration = plans["configurations"][recipe.configuration]
    configuration["architecture"] = models.narrow(configuration["architecture"], recipe.strides)
    sizes = sizes_of(plans, DATASET_JSON, recipe.configuration)
    network = build_network(find_installed_trainer("nnUNetTrainer"), sizes)
    with torch.inference_mode():
        assert network(torch.zeros(1, 1, *recipe.patch)).shape == (1, 3, *recipe.patch)
    assert len(network.encoder.stages) == len(recipe.strides)
    divisors = [prod(steps) for steps in zip(*recipe.strides, strict=True)]
    assert all(side % divisor == 0 for side, divisor in zip(recipe.patch, divisors, strict=True))


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """An untrained model and an image."""
    root = tmp_path_factory.mktemp("worker")
    with pytest.MonkeyPatch.context() as patch:
        use_folders(patch, root)
        model = Models(root).write()
    plans = json.loads((model / "plans.json").read_text(encoding="utf-8"))
    plans["foreground_intensity_properties_per_channel"] = {"0": INTENSITIES}
    (model / "plans.json").write_text(json.dumps(plans), encoding="utf-8")
    image = sitk.GetImageFromArray(np.random.default_rng(0).normal(90, 40, SHAPE).astype(np.float32))
    image.SetSpacing((0.8, 0.8, 2.5))
    sitk.WriteImage(image, str(root / "a_0000.nii.gz"))
    return model, root / "a_0000.nii.gz"


@pytest.mark.parametrize("way", ["exact", "balanced", "fast"])
def test_the_worker_counts_windows_and_exact_is_stock(load, case, tmp_path, monkeypatch, way):
    worker = load("prediction_worker")
    monkeypatch.setattr(fast, "bfloat16_pays", lambda threads: False)
    monkeypatch.setattr("nnunet_pancext.trainers.machinery.allocator.keep_freed_memory", lambda: False)
    model, image = case
    request = {"images": [str(image)]}
    stock = worker.stock(model)({**request, "out": str(tmp_path / "stock")})
    found = worker.faster(way, model)({**request, "out": str(tmp_path / way)})
    # 12 slices of 36 x 36 with windows of 32 x 32: 2 x 2 windows each, without mirroring
    assert (stock["windows"], stock["forwards"]) == (48, 48)
    assert set(stock["seconds"]) == set(found["seconds"]) == {"network", "export and write"}
    assert found["forwards"] <= 1.1 * stock["forwards"]
    if way == "exact":
        assert (found["windows"], found["forwards"]) == (48, 48)
        arrays = [
            sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / f"{name}.nii.gz")))
            for name in ("stock", way)
        ]
        assert np.array_equal(*arrays)


def test_a_smoke_run_measures_two_phantoms_in_every_way(load, tmp_path, monkeypatch, capsys):
    script = load("prediction")
    cases = CaseFolders(images=tmp_path / "images", labels=tmp_path / "labels")
    label = np.zeros((4, 5, 6), np.uint8)
    label[1:3, 1:3, 1:4] = 1
    for folder, ending in ((cases.images, "_0000"), (cases.labels, "")):
        folder.mkdir()
        for name in ("a", "b"):
            sitk.WriteImage(sitk.GetImageFromArray(label), str(folder / f"{name}{ending}.nii.gz"))
    (tmp_path / "dataset.json").write_text(json.dumps(DATASET_JSON), encoding="utf-8")
    asked = []

    class Made:
        """A workshop in which everything is there."""

        root, environment = tmp_path, {}

        def __init__(self, root, size):
            asked.append(size)

        def model_folder(self, name):
            return tmp_path

        def new_cases(self, number):
            asked.append(number)
            return cases

    class Answers:
        """A worker that predicts the truth; stock takes 8 s, the others 2 s."""

        def __init__(self, way, model, environment):
            self.seconds = 8.0 if way == "stock" else 2.0

        def predict(self, image, out):
            sitk.WriteImage(sitk.GetImageFromArray(label), f"{out}.nii.gz")
            names = ("total", "network", "export and write", "processor")
            seconds = dict.fromkeys(names, self.seconds)
            return {"windows": 4, "forwards": 8, "megabytes": 1.0, "seconds": seconds}

        def close(self):
            asked.append("closed")

    monkeypatch.setattr(script, "Workshop", Made)
    monkeypatch.setattr(script, "Worker", Answers)
    monkeypatch.setattr("sys.argv", ["prediction.py", str(tmp_path), "--smoke", "--models", "2d"])
    script.main()
    assert asked == [script.SMOKE, 2, *["closed"] * 4]
    shown = capsys.readouterr().out
    assert "### 2d, patch 112 x 112, 2 phantoms" in shown
    assert "| balanced | 4 | 8 | 2.00 | 4.00 | 4.00 | 4.00 | 4.00 | 1 | 1.0000 | +0.0000 | +0.0000 |" in shown
    lines = (tmp_path / "prediction_2d.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + 2 * 4
    monkeypatch.setattr(script, "measure", None)
    monkeypatch.setattr("sys.argv", ["prediction.py", str(tmp_path), "--models", "2d", "--report"])
    script.main()  # from the file
    assert capsys.readouterr().out.splitlines()[1:] == shown.splitlines()[1:]


def test_windows_at_full_size_are_those_near_the_organ(load, tmp_path, monkeypatch):
    script = load("prediction_full_size")
    monkeypatch.setattr(script, "keep_freed_memory", lambda: False)
    monkeypatch.setattr(script, "forget_peak", lambda: None)
    monkeypatch.setattr(script, "memory_mb", lambda entry: 1.0)
    plans = default_plans()
    plans["configurations"]["3d_fullres"]["patch_size"] = [8, 16, 16]
    monkeypatch.setattr(script, "default_plans", lambda: plans)
    organ = np.zeros((16, 64, 64), np.uint8)
    organ[5:7, 20:24, 20:24] = 7
    label = sitk.GetImageFromArray(organ)
    label.SetSpacing((0.8, 0.8, 2.5))
    sitk.WriteImage(label, str(tmp_path / "label.nii.gz"))
    stock, found = (script.measure(way, tmp_path / "label.nii.gz", 7) for way in ("exact", "balanced"))
    assert stock["windows"] == 3 * 7 * 7
    assert stock["forwards"] == 3 * 7 * 7 * 8
    assert 0 < found["windows"] < stock["windows"]
    assert (stock["organ"], stock["differing"], found["differing"]) == (2 * 4 * 4, 0, 0)


def test_a_worker_that_ends_early_ends_the_benchmark(load, monkeypatch):
    script = load("prediction")
    ended = SimpleNamespace(stdout=SimpleNamespace(readline=lambda: ""))
    monkeypatch.setattr(script.subprocess, "Popen", lambda *words, **options: ended)
    with pytest.raises(SystemExit, match=r"prediction_worker\.py stock model ended early"):
        script.Worker("stock", Path("model"), {})
