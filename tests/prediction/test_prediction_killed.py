"""A prediction that is killed leaves whole files or none, and a second run completes it."""

import hashlib
import json
import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import pytest
from prediction.made_models import predict, write_image, write_model

# A fork server that has imported everything, so that a run is nothing but prediction.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["prediction.made_models", "nnunet_pancext.prediction.run"])
CASES = ("a", "b", "c")
OPTIONS = ("--save_probabilities", "--entropy", "--per-fold")


def run(images: Path, out: Path, model: Path, started: Path) -> None:
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    started.touch()
    os._exit(predict(images, "-o", out, "-m", model, *OPTIONS))


def contents(out: Path) -> dict[str, str]:
    """Hash every file that is not hidden; of a record only what does not depend on the clock."""
    found = {}
    for path in out.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            content = path.read_bytes()
            if path.stem in CASES and path.suffix == ".json":
                record = json.loads(content)
                content = json.dumps([record["volumes_ml"], record["inputs"], record["lesions"]]).encode()
            if path.suffix == ".npz":
                with np.load(path) as arrays:  # the archive has the time of its writing
                    content = arrays["probabilities"].tobytes()
            found[path.relative_to(out).as_posix()] = hashlib.sha256(content).hexdigest()
    return found


@pytest.mark.slow
def test_a_prediction_killed_at_random_moments(tmp_path):
    model = write_model(tmp_path / "results", "2d", folds=("0", "1"))
    for seed, case in enumerate(CASES):
        write_image(tmp_path / "images" / f"{case}_0000.nii.gz", seed=seed, shape=(3, 24, 24))

    def start(out: Path) -> multiprocessing.Process:
        started = tmp_path / "started"
        started.unlink(missing_ok=True)
        child = PROCESSES.Process(target=run, args=(tmp_path / "images", out, model, started))
        child.start()
        while not started.exists():
            time.sleep(0.01)
        return child

    child = start(tmp_path / "whole")
    began = time.monotonic()
    child.join()
    duration = time.monotonic() - began
    assert child.exitcode == 0
    whole = contents(tmp_path / "whole")
    files_of_case = (len(whole) - 2) // len(CASES)
    assert files_of_case == 7
    random = np.random.default_rng(3)
    for number in range(8):
        out = tmp_path / f"killed {number}"
        child = start(out)
        time.sleep((number + random.random()) / 8 * duration)
        child.kill()
        child.join()
        left = contents(out) if out.exists() else {}
        assert left.items() <= whole.items()
        for case in CASES:
            if f"{case}.json" in left:  # it marks a complete case
                assert sum(Path(name).name.startswith(case) for name in left) == files_of_case
    child = start(out)
    child.join()
    assert child.exitcode == 0
    assert contents(out) == whole
