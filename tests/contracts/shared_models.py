"""Models as nnU-Net leaves and exports them, with the weights of the first epoch."""

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from contracts.made_preprocessed import DATASET, make_preprocessed, use_folders
from nnunetv2.model_sharing.model_export import export_pretrained_model
from nnunetv2.postprocessing.remove_connected_components import (
    remove_all_but_largest_component_from_segmentation,
)

from nnunet_pancext.checkpoints.trained_network import find_installed_trainer

POSTPROCESSING = (
    [remove_all_but_largest_component_from_segmentation],
    [{"labels_or_regions": [(1, 2), np.int64(1)], "background_label": 0}],  # as of numpy.unique
)


class Models:
    """nnU-Net's folders below `root`, with the models that a test writes into them."""

    def __init__(self, root: Path) -> None:
        self.results = root / "nnUNet_results" / DATASET
        self.preprocessed = make_preprocessed(root)

    def write(
        self,
        trainer: str = "nnUNetTrainer",
        configuration: str = "2d",
        folds: tuple[Any, ...] = (0,),
        **changes: Any,
    ) -> Path:
        """Write a model whose plan's architecture has the `changes`, and return its folder."""
        plans = json.loads((self.preprocessed / "nnUNetPlans.json").read_text(encoding="utf-8"))
        plans["dataset_name"] = DATASET
        plans["configurations"][configuration]["architecture"].update(changes)
        dataset_json = json.loads((self.preprocessed / "dataset.json").read_text(encoding="utf-8"))
        for fold in folds:
            trained = find_installed_trainer(trainer)(
                plans={**plans, "continue_training": False},
                configuration=configuration,
                fold=fold,
                dataset_json=dataset_json,
                device=torch.device("cpu"),
            )
            trained.initialize()
            validation = Path(trained.output_folder) / "validation"
            validation.mkdir(parents=True)
            trained.save_checkpoint(str(validation.parent / "checkpoint_final.pth"))
            (validation / "summary.json").write_text("{}", encoding="utf-8")
            (validation.parent / "progress.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        folder = Path(trained.output_folder_base)
        for name, content in {
            "plans": plans,
            "dataset": dataset_json,
            "dataset_fingerprint": {},
        }.items():
            (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
        write_postprocessing(folder / "crossval_results_folds_0")
        return folder

    def export(self, archive: Path, trainer: str = "nnUNetTrainer", configuration: str = "2d") -> Path:
        """Export the model's fold 0 by nnU-Net's own function."""
        export_pretrained_model(DATASET, str(archive), (configuration,), trainer, folds=(0,))
        return archive


def write_postprocessing(folder: Path, content: Any = POSTPROCESSING) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "postprocessing.pkl").write_bytes(pickle.dumps(content))
    (folder / "postprocessing.json").write_text("{}", encoding="utf-8")
    (folder / "summary.json").write_text("{}", encoding="utf-8")


def rewritten(archive: Path, target: Path, changes: dict[str, bytes | None]) -> Path:
    """Copy a zip with members replaced, added or left out, by the end of their name."""
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as copy:
        added = dict(changes)
        for info in source.infolist():
            ending = next((end for end in changes if info.filename.endswith(end)), None)
            content = source.read(info) if ending is None else added.pop(ending, changes[ending])
            if content is not None:
                copy.writestr(info.filename, content)
        for name, content in added.items():
            if content is not None:
                copy.writestr(name, content)
    return target


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Models:
    """Models below the test's folder, where nnU-Net finds them."""
    use_folders(monkeypatch, tmp_path)
    return Models(tmp_path)
