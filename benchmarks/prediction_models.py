"""The models that `prediction.py` predicts with: small networks, trained on phantoms by nnU-Net's commands.

Patch and volume are to each other as in MSD pancreas, 40 x 224 x 224 to 96 x 512 x 512, so that nnU-Net runs
the same 64 windows. The networks have half of nnU-Net's features, fewer levels, and, except ResEnc-L, one
convolution a level. Everything is kept in a folder: what is there is not made again.
"""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_pancext.dataset_conversion.layouts.msd import convert_msd
from nnunet_pancext.demo.split import CaseFolders, link_cases
from nnunet_pancext.io.files import read_json, write_json
from nnunet_pancext.nnunet_files.folders import DUTIES
from nnunet_pancext.nnunet_files.splits_final import SPLITS_FILE
from nnunet_pancext.phantom import write_phantom_dataset

DATASET_ID = 7
LABELS = "pancreas+tumour"
TRAINING_CASES, VALIDATION_CASES = 12, 4
SEED, NEW_SEED = 1, 1000
PLANS, RESIDUAL_PLANS = "nnUNetPlans", "nnUNetResEncUNetLPlans"
NARROW_CASCADE = "NarrowCascadeTrainer"
IN_ONE_PROCESS = {"nnUNet_n_proc_DA": "0", "nnUNet_def_n_proc": "1"}
# nnU-Net finds a trainer in the folders of nnUNet_extTrainer.
DEFINITION = """from nnunet_pancext.trainers import find_trainer


class {name}(find_trainer("PancreasTumorCascadeTrainer_{suffix}")):
    network_options = {{"base_channels": 16}}
"""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model is trained: a stock network, or one of this package with the stock one's plan."""

    configuration: str
    patch: tuple[int, ...]
    batch: int
    strides: tuple[tuple[int, ...], ...]  # of the levels
    epochs: int
    trainer: str = "nnUNetTrainerBaseline"
    plans: str = PLANS


FLAT = {"configuration": "2d", "patch": (112, 112), "strides": ((1, 1), *[(2, 2)] * 4)}
RECIPES = {
    "3d": Recipe(
        configuration="3d_fullres",
        patch=(16, 48, 48),
        batch=2,
        strides=((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 2)),
        epochs=240,
    ),
    # nnU-Net's own network in 2D has found no organ after 1000 iterations
    "2d": Recipe(**FLAT, batch=4, epochs=40, trainer="AttentionUNetTrainer"),
    "resenc": Recipe(**FLAT, batch=2, epochs=80, plans=RESIDUAL_PLANS),
    "cascade": Recipe(**FLAT, batch=2, epochs=80, trainer=NARROW_CASCADE),
}


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large the phantoms are, and how long is trained."""

    volume: tuple[int, int, int] = (38, 110, 110)
    iterations: int = 25  # an epoch
    most_epochs: int = 1000

    def suffix(self, recipe: Recipe) -> str:
        """Return the suffix of the trainer's name."""
        return f"{min(recipe.epochs, self.most_epochs)}epochs_{self.iterations}iterations"


FULL = Size()
SMOKE = Size(volume=(24, 72, 72), iterations=1, most_epochs=1)


class Workshop:
    """A folder with nnU-Net's three folders, the phantoms and the trained models."""

    def __init__(self, root: Path, size: Size = FULL) -> None:
        self.root, self.size = root.resolve(), size
        self.folders = {variable: self.root / variable for variable in DUTIES}
        own = (self.root / name for name in ("trainer", "logs", "predictions"))
        for folder in (*self.folders.values(), *own):
            folder.mkdir(parents=True, exist_ok=True)
        definition = DEFINITION.format(name=NARROW_CASCADE, suffix=size.suffix(RECIPES["cascade"]))
        (self.root / "trainer" / "narrow_cascade.py").write_text(definition, encoding="utf-8")

    @property
    def environment(self) -> dict[str, str]:
        """The variables of nnU-Net's commands, with as many threads as the benchmark itself has."""
        return {
            **os.environ,
            **{variable: str(folder) for variable, folder in self.folders.items()},
            "nnUNet_extTrainer": str(self.root / "trainer"),
            "nnUNet_def_n_proc": os.environ.get("OMP_NUM_THREADS", "1"),
            "PANCEXT_SEED": str(SEED),
        }

    def run(self, words: Sequence[object], *, log: str, environment: Mapping[str, str] | None = None) -> None:
        """Run a command, found beside this Python, with its output in a log."""
        command, *arguments = map(str, words)
        path = self.root / "logs" / f"{log}.txt"
        with path.open("w", encoding="utf-8") as stream:
            code = subprocess.call(
                [str(Path(sysconfig.get_path("scripts")) / command), *arguments],
                env={**self.environment, **(environment or {})},
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        if code:
            sys.exit(f"{' '.join(map(str, words))} ended with exit code {code}; see {path}")

    def model_folder(self, name: str) -> Path:
        """Train a model, unless it is there, and return its folder."""
        recipe = RECIPES[name]
        dataset = self._dataset()
        preprocessed = self.folders["nnUNet_preprocessed"] / dataset.name
        configuration = add_small_configuration(preprocessed / f"{recipe.plans}.json", recipe)
        trainer = recipe.trainer
        if trainer != NARROW_CASCADE:
            trainer = f"{trainer}_{self.size.suffix(recipe)}"
        model = self.folders["nnUNet_results"] / dataset.name / f"{trainer}__{recipe.plans}__{configuration}"
        if not (model / "fold_0" / "validation" / "summary.json").is_file():
            words = ["nnUNetv2_train", DATASET_ID, configuration, 0, "-tr", trainer, "-p", recipe.plans]
            self.run([*words, "-device", "cpu"], log=f"train_{name}", environment=IN_ONE_PROCESS)
        return model

    def new_cases(self, number: int) -> CaseFolders:
        """Return phantoms that no model was trained on, in nnU-Net's format, with their ground truth."""
        target = self.root / f"new_{number}"
        made = CaseFolders(images=target / "cases" / "images", labels=target / "cases" / "labels")
        if not made.labels.is_dir():
            source = write_phantom_dataset(
                target / "source", cases=number, size=self.size.volume, seed=NEW_SEED, show_progress=False
            )
            raw = convert_msd(source, raw_root=target / "raw", dataset_id=DATASET_ID, labels=LABELS)
            link_cases(raw.training, dataset=raw.folder, target=target / "cases")
        return made

    def _dataset(self) -> Path:
        """Write, plan and preprocess the training phantoms, unless they are there; return the raw dataset."""
        raw, preprocessed = self.folders["nnUNet_raw"], self.folders["nnUNet_preprocessed"]
        made = next(raw.glob("Dataset*"), None)
        if made is not None and (preprocessed / made.name / SPLITS_FILE).is_file():
            return made
        number = TRAINING_CASES + VALIDATION_CASES
        source = write_phantom_dataset(
            self.root / "source", cases=number, size=self.size.volume, seed=SEED, show_progress=False
        )
        dataset = convert_msd(source, raw_root=raw, dataset_id=DATASET_ID, labels=LABELS)
        words = ["nnUNetv2_plan_and_preprocess", "-d", DATASET_ID, "-c", "2d", "3d_fullres"]
        self.run([*words, "-npfp", 1, "-np", 1, 1], log="plan")
        residual = ["nnUNetv2_plan_experiment", "-d", DATASET_ID, "-pl", "nnUNetPlannerResEncL"]
        self.run(residual, log="plan_residual")
        cases = sorted(dataset.training)
        split = {"train": cases[:TRAINING_CASES], "val": cases[TRAINING_CASES:]}
        write_json(preprocessed / dataset.folder.name / SPLITS_FILE, [split])
        return dataset.folder


def add_small_configuration(plans_file: Path, recipe: Recipe) -> str:
    """Add the recipe's configuration to the plans; return its name."""
    plans = read_json(plans_file, expect=dict)
    full = plans["configurations"][recipe.configuration]
    name = f"{recipe.configuration}_b{recipe.batch}"
    plans["configurations"][name] = {
        "inherits_from": recipe.configuration,
        "patch_size": list(recipe.patch),
        "batch_size": recipe.batch,
        "architecture": narrow(full["architecture"], recipe.strides),
    }
    write_json(plans_file, plans)
    return name


def narrow(architecture: Mapping[str, Any], strides: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Return a planned network with the levels of `strides` and half of nnU-Net's features."""
    options = dict(architecture["arch_kwargs"])
    levels, planned = len(strides), options["n_stages"]
    for key, value in options.items():  # blocks and convolutions of each level
        if isinstance(value, list) and len(value) in (planned, planned - 1):
            options[key] = (value + value[-1:] * levels)[: levels - (planned - len(value))]
    if "n_conv_per_stage" in options:  # not a residual network's blocks
        options["n_conv_per_stage"], options["n_conv_per_stage_decoder"] = [1] * levels, [1] * (levels - 1)
    options["n_stages"] = levels
    options["features_per_stage"] = [16 * 2**level for level in range(levels)]
    options["strides"] = [list(step) for step in strides]
    options["kernel_sizes"] = [[3] * len(strides[0])] * levels
    return {**architecture, "arch_kwargs": options}


def main() -> None:
    """Train the models named on the command line: FOLDER NAME…"""
    workshop = Workshop(Path(sys.argv[1]))
    for name in sys.argv[2:]:
        print(workshop.model_folder(name), flush=True)


if __name__ == "__main__":
    main()
