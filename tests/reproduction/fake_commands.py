"""Replaces nnU-Net's commands and `pancext`: records its arguments and writes what they would write.

FAKE_FAILS names a command that fails, FAKE_EMPTY one that succeeds without a result, FAKE_ENDS one during
which the batch system ends the protocol. FAKE_REMARKS is the content of a conversion report beside its
options.
"""

import gzip
import json
import os
import signal
import struct
import sys
import time
import zipfile
from pathlib import Path

RAW = "nnUNet_raw"
LABELS = {"synapse": "8 organs", "acdc": "heart", "nih": "pancreas"}
FOLDS = [{"train": ["a"], "val": ["b"]}]
REMARKS = os.environ.get("FAKE_REMARKS", "{}")
SCORES = {"per_slice": {"slice_dice": 0.5}, "per_volume": {"dice": {"mean": 0.4, "sd": 0.1}}}


def put(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def option(name):
    return sys.argv[sys.argv.index(name) + 1]


def dataset_folder(variable, identifier):
    root = Path(os.environ[RAW])
    (found,) = root.glob(f"Dataset{int(identifier):03d}_*")
    return Path(os.environ[variable]) / found.name


def convert():
    folder = Path(os.environ[RAW]) / f"Dataset{int(option('--id')):03d}_{option('--name')}"
    labels = option("--labels") if "--labels" in sys.argv else LABELS[sys.argv[2]]
    for case in ("a", "b"):
        put(folder / "labelsTr" / f"{case}.nii.gz")
    for case in ("c", "d"):
        put(folder / "labelsTs" / f"{case}.nii.gz")
    report = {"options": {"split": option("--split"), "labels": labels}, **json.loads(REMARKS)}
    put(folder / "split.json", json.dumps({"folds": FOLDS}))
    put(folder / "conversion_report.json", json.dumps(report))


def place_folds():
    put(dataset_folder("nnUNet_preprocessed", sys.argv[3]) / "splits_final.json", json.dumps(FOLDS))


def evaluate():
    out = Path(option("-o"))
    put(
        out / "summary.json",
        json.dumps({"pancext": {"cases": 2, "labels": {"cancer": SCORES, "pancreas": SCORES}}}),
    )


def plan():
    folder = dataset_folder("nnUNet_preprocessed", option("-d"))
    configuration = option("-c")
    put(
        folder / "nnUNetPlans.json",
        json.dumps({"configurations": {configuration: {"data_identifier": f"data_{configuration}"}}}),
    )
    for case in ("a", "b"):
        put(folder / f"data_{configuration}" / f"{case}.pkl")


def train():
    model = f"{option('-tr')}__nnUNetPlans__{sys.argv[2]}"
    fold = dataset_folder("nnUNet_results", sys.argv[1]) / model / f"fold_{sys.argv[3]}"
    fold.mkdir(parents=True, exist_ok=True)
    if "--val" not in sys.argv:
        with zipfile.ZipFile(fold / "checkpoint_final.pth", "w") as archive:
            archive.writestr("epoch", "1000")
    put(fold / "validation" / "summary.json", "{}")


def label_map():
    """Return a NIfTI-1 file of one voxel of uint8."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *[1] * 7)
    struct.pack_into("<2h", header, 70, 2, 8)
    struct.pack_into("<8f", header, 76, *[1] * 8)
    struct.pack_into("<2f", header, 108, 352, 1)
    header[344:348] = b"n+1\0"
    return bytes(header) + b"\1"


def predict():
    out = Path(option("-o"))
    out.mkdir(parents=True, exist_ok=True)
    for case in ("c", "d"):
        file = out / f"{case}.nii.gz"
        if "--continue_prediction" in sys.argv and file.exists():
            continue
        with gzip.open(file, "w") as stream:
            stream.write(label_map())
        if "--save_probabilities" in sys.argv:
            put(out / f"{case}.npz")


name = Path(sys.argv[0]).name
with open(os.environ["FAKE_CALLS"], "a", encoding="utf-8") as calls:
    calls.write(json.dumps([name, *sys.argv[1:]]) + "\n")
if name == os.environ.get("FAKE_FAILS"):
    print("Epoch 3")
    sys.exit("CUDA out of memory")
if name == os.environ.get("FAKE_ENDS"):
    os.kill(os.getppid(), signal.SIGTERM)
    time.sleep(300)
if name != os.environ.get("FAKE_EMPTY"):
    if name == "pancext":
        {"convert": convert, "splits": place_folds, "evaluate": evaluate}[sys.argv[1]]()
    else:
        {"nnUNetv2_plan_and_preprocess": plan, "nnUNetv2_train": train, "nnUNetv2_predict": predict}[name]()
