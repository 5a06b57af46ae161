"""Trainings and validations that are killed and continued, of ours and of stock nnU-Net."""

import json
import signal
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from contracts.made_preprocessed import CASES, make_preprocessed, write_ground_truth
from contracts.started_training import OURS, STOCK, Training, fold_of

from nnunet_pancext.campaign.workers.train import _unpack

pytestmark = pytest.mark.slow

STEP = "nnunetv2.training.nnUNetTrainer.nnUNetTrainer:nnUNetTrainer."
CONTINUABLE = "nnunet_pancext.trainers.machinery.continuable:ContinuableTrainer."
MOMENTS = {  # three epochs of two training steps and one validation step
    "in the first epoch": (f"{STEP}train_step", 2),
    "in the second epoch": (f"{STEP}train_step", 4),
    "in the validation of an epoch": (f"{STEP}validation_step", 3),
    "before an epoch's checkpoints": (f"{STEP}on_epoch_end", 2),
    "between checkpoint_best and checkpoint_latest": (f"{CONTINUABLE}_submit", 2),
    "before a checkpoint has its name": ("os:fsync", 3),
    "before the last checkpoint": (f"{STEP}on_train_end", 1),
}

HARDEST = (
    "in the second epoch",
    "between checkpoint_best and checkpoint_latest",
    "before the last checkpoint",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("killed")
    dataset = make_preprocessed(root)
    folds = [{"train": CASES[:2], "val": CASES[2:]}]
    (dataset / "splits_final.json").write_text(json.dumps(folds), encoding="utf-8")
    write_ground_truth(dataset)
    for name in ("nnUNet_raw", "nnUNet_results"):
        (root / name).mkdir(exist_ok=True)
    return root


@pytest.fixture(scope="module")
def undisturbed(root):
    """Return a finished and validated training of a trainer."""
    finished = {}

    def train(trainer):
        if trainer not in finished:
            finished[trainer] = Training(root=root, results="undisturbed", trainer=trainer, is_validated=True)
            assert finished[trainer].run("--npz") == 0, finished[trainer].output
        return finished[trainer]

    return train


def use(monkeypatch, training):
    for name, value in training.environment.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("trainer", "moment"), [*((OURS, moment) for moment in MOMENTS), *((STOCK, moment) for moment in HARDEST)]
)
def test_a_killed_training_ends_with_the_weights_of_an_undisturbed_one(
    root, undisturbed, monkeypatch, trainer, moment
):
    expected = undisturbed(trainer)
    results = f"{trainer} {moment}"
    killed = Training(root=root, results=results, trainer=trainer, die_at=MOMENTS[moment])
    use(monkeypatch, killed)
    assert killed.run() == -signal.SIGKILL, killed.output
    options = fold_of(killed).prepare()
    continued = Training(root=root, results=results, trainer=trainer)
    assert continued.run(*options) == 0, continued.output
    found = continued.weights
    assert found.keys() == expected.weights.keys()
    assert not [name for name, value in expected.weights.items() if not torch.equal(found[name], value)]
    best = [
        torch.load(training.fold_folder / "checkpoint_best.pth", weights_only=False)
        for training in (expected, continued)
    ]
    assert best[0]["current_epoch"] == best[1]["current_epoch"]
    assert sorted(path.name for path in continued.fold_folder.glob("*checkpoint*")) == [
        "checkpoint_best.pth",
        "checkpoint_final.pth",
    ]


@pytest.mark.parametrize("trainer", [OURS, STOCK])
def test_a_finished_fold_is_whole(undisturbed, monkeypatch, trainer):
    training = undisturbed(trainer)
    use(monkeypatch, training)
    assert fold_of(training).is_whole(probabilities=True)
    assert training.fold_folder.parent.name.startswith(f"{trainer}__nnUNetPlans__2d")
    checkpoint = torch.load(training.fold_folder / "checkpoint_final.pth", weights_only=False)
    assert checkpoint["trainer_name"] == trainer


def test_a_killed_validation_goes_on_with_the_next_case(root, undisturbed, monkeypatch):
    expected = undisturbed(OURS)
    predict = "nnunetv2.inference.predict_from_raw_data:nnUNetPredictor.predict_sliding_window_return_logits"
    training = {"root": root, "results": "validation", "trainer": OURS, "is_validated": True}
    killed = Training(**training, die_at=(predict, 2))
    use(monkeypatch, killed)
    fold = fold_of(killed)
    assert killed.run("--npz") == -signal.SIGKILL
    assert not fold.is_whole(probabilities=True)
    assert fold.prepare() == ["--val"]
    for ending in ("npz", "pkl", "nii.gz"):  # a kill while its label map, the last of its files, is written
        content = (expected.fold_folder / "validation" / f"{CASES[3]}.{ending}").read_bytes()
        half = content[: len(content) // 2] if ending == "nii.gz" else content
        (fold.validation / f"{CASES[3]}.{ending}").write_bytes(half)
    continued = Training(**training)
    assert continued.run("--npz", "--val") == 0, continued.output
    assert f"predicting {CASES[3]}" in continued.output
    assert fold.is_whole(probabilities=True)
    found, wanted = (
        json.loads((one.fold_folder / "validation" / "summary.json").read_bytes())
        for one in (continued, expected)
    )
    assert found["mean"] == wanted["mean"]

    # without its summary, nothing is predicted again
    (continued.fold_folder / "validation" / "summary.json").unlink()
    assert continued.run("--npz", *fold.prepare()) == 0
    assert "2 of 2 validation cases are predicted already" in continued.output
    assert "predicting pancreas" not in continued.output
    again = json.loads((continued.fold_folder / "validation" / "summary.json").read_bytes())
    assert again["mean"] == wanted["mean"]


def test_cases_in_the_older_format_are_unpacked(tmp_path):
    data = tmp_path / "nnUNetPlans_2d"
    data.mkdir()
    np.savez_compressed(data / "a.npz", data=np.ones((1, 2, 2)), seg=np.zeros((1, 2, 2)))
    _unpack(SimpleNamespace(preprocessed_dataset_folder=str(data)))
    assert sorted(path.name for path in data.iterdir()) == ["a.npy", "a.npz", "a_seg.npy"]
    assert [path.name for path in tmp_path.iterdir()] == [data.name]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"trainer": "NoSuchTrainer"}, "finds no trainer NoSuchTrainer"),
        ({"settings": {"PANCEXT_SEED": "x"}}, "PANCEXT_SEED is 'x'; set it to a whole number"),
        ({"settings": {"nnUNet_results": "/dev/null"}}, "Cannot write to /dev/null/.*set nnUNet_results"),
    ],
)
def test_refusals(root, changes, text):
    import re

    training = Training(**{"root": root, "results": "refused", "trainer": STOCK, **changes})
    assert training.run() == 1
    assert re.search(f"^error: .*{text}", training.output, re.MULTILINE)
    assert "Traceback" not in training.output
