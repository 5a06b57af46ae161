"""A tree of nnU-Net's folders with trained models: tiny label maps, logs as nnU-Net writes them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from nnunet_pancext.trainers.machinery.default_plan import default_plans

DATASET = "Dataset007_Pancreas"
SHAPE, SPACING = (6, 24, 24), (1.0, 1.0, 2.5)
LABELS = {"background": 0, "pancreas": 1, "tumour": 2}
PLANS, CONFIGURATION = "nnUNetPlans", "3d_fullres"
ENDING = ".nii.gz"


@dataclass(frozen=True)
class Tree:
    """The root of nnU-Net's three folders, and the cases by fold."""

    root: Path
    folds: list[list[str]]

    @property
    def preprocessed(self) -> Path:
        return self.root / "nnUNet_preprocessed" / DATASET

    @property
    def results(self) -> Path:
        return self.root / "nnUNet_results" / DATASET

    @property
    def truths(self) -> Path:
        return self.preprocessed / "gt_segmentations"

    @property
    def splits(self) -> Path:
        return self.preprocessed / "splits_final.json"

    def model(self, trainer: str) -> Path:
        return self.results / (trainer if "__" in trainer else f"{trainer}__{PLANS}__{CONFIGURATION}")

    def prediction(self, trainer: str, case: str) -> Path:
        fold = next(index for index, cases in enumerate(self.folds) if case in cases)
        return self.model(trainer) / f"fold_{fold}" / "validation" / f"{case}{ENDING}"


def make_tree(
    root: Path, *, num_folds: int = 2, per_fold: int = 4, labels: Mapping[str, int] = LABELS
) -> Tree:
    """Write the truth, the labels and the split of a dataset; sizes grow from case to case."""
    names = [f"pancreas_{index:03d}" for index in range(num_folds * per_fold)]
    tree = Tree(root, [names[fold::num_folds] for fold in range(num_folds)])
    tree.truths.mkdir(parents=True)
    tree.results.mkdir(parents=True)
    for index, case in enumerate(names):
        write_map(tree.truths / f"{case}{ENDING}", truth_array(index))
    document = {"channel_names": {"0": "CT"}, "labels": dict(labels), "file_ending": ENDING}
    (tree.preprocessed / "dataset.json").write_text(json.dumps(document), encoding="utf-8")
    splits = [{"train": [name for name in names if name not in fold], "val": fold} for fold in tree.folds]
    tree.splits.write_text(json.dumps(splits), encoding="utf-8")
    return tree


def add_model(
    tree: Tree,
    trainer: str,
    *,
    shift: int | Sequence[int] = 0,
    folds: Sequence[int] | None = None,
    seconds: float = 10.0,
    epochs: int = 3,
    device: str = "cpu",
    debug: Mapping[str, Any] | None = None,
) -> Path:
    """Write a trained model whose predictions are the truth moved by `shift` voxels (one for each case)."""
    folder = tree.model(trainer)
    for fold, cases in enumerate(tree.folds):
        if folds is not None and fold not in folds:
            continue
        validation = folder / f"fold_{fold}" / "validation"
        validation.mkdir(parents=True)
        entries = []
        for case in cases:
            index = int(case.rsplit("_", 1)[1])
            truth = truth_array(index)
            moved = shift if isinstance(shift, int) else shift[index % len(shift)]
            write_map(validation / f"{case}{ENDING}", np.roll(truth, moved, axis=-1))
            entries.append(summary_entry(tree, case, truth))
        (validation / "summary.json").write_text(json.dumps({"metric_per_case": entries}), encoding="utf-8")
        write_log(folder / f"fold_{fold}" / "training_log_2026_11_20_10_00_00.txt", seconds, epochs)
        (folder / f"fold_{fold}" / "debug.json").write_text(
            json.dumps({"device": device, **(debug or {})}), encoding="utf-8"
        )
    (folder / "dataset.json").write_text(
        (tree.preprocessed / "dataset.json").read_text(encoding="utf-8"), encoding="utf-8"
    )
    plans = default_plans()
    plans["configurations"]["3d_fullres"]["patch_size"] = [8, 32, 32]
    arguments = plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    arguments.update(
        n_stages=3,
        features_per_stage=[4, 8, 16],
        strides=[[1, 1, 1], [1, 2, 2], [2, 2, 2]],
        kernel_sizes=[[1, 3, 3], [3, 3, 3], [3, 3, 3]],
        n_conv_per_stage=[1, 1, 1],
        n_conv_per_stage_decoder=[1, 1],
    )
    (folder / "plans.json").write_text(json.dumps(plans), encoding="utf-8")
    return folder


def truth_array(index: int) -> np.ndarray:
    """An organ of 4 x 10 x (8 + index % 5) voxels with a lesion of 2 x 4 x 4 in it."""
    array = np.zeros(SHAPE, np.uint8)
    array[1:5, 6:16, 4 : 12 + index % 5] = 1
    array[2:4, 8:12, 6:10] = 2
    return array


def write_map(path: Path, array: np.ndarray) -> None:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING[: array.ndim])
    sitk.WriteImage(image, str(path))


def summary_entry(tree: Tree, case: str, truth: np.ndarray) -> dict[str, Any]:
    metrics = {str(value): {"n_ref": int((truth == value).sum())} for value in (1, 2)}
    return {"metrics": metrics, "reference_file": str(tree.truths / f"{case}{ENDING}")}


def write_log(path: Path, seconds: float, epochs: int, first: int = 0) -> None:
    """Write lines as nnU-Net does, with its trailing blank."""
    lines = ["", "This is the configuration used by this training:"]
    for epoch in range(first, first + epochs):
        lines += [
            "2026-11-20 10:00:00.000001:  ",
            f"2026-11-20 10:00:00.000002: Epoch {epoch} ",
            "2026-11-20 10:00:00.000003: Current learning rate: 0.01 ",
            "2026-11-20 10:00:09.000001: train_loss -0.0146 ",
            f"2026-11-20 10:00:09.000004: Epoch time: {seconds} s ",
        ]
    lines.append("2026-11-20 10:01:00.000000: Training done. ")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
