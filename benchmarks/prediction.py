"""Prints how much sooner `pancext predict` is than stock nnU-Net, and what it changes, on new phantoms.

python benchmarks/prediction.py WORK                              3D and 2D on 20 phantoms, an hour
python benchmarks/prediction.py WORK --models cascade resenc      the two-stage network against ResEnc-L
python benchmarks/prediction.py WORK --train                      only train, 10 to 30 minutes a model
python benchmarks/prediction.py WORK --smoke                      minutes, with numbers of no meaning

WORK keeps phantoms, models and the figures of each case (prediction_MODEL.csv). All ways predict a case one
after the other with the same checkpoint, each in a process of its own that has loaded the model; ratios are
taken case by case. Threads are those of OMP_NUM_THREADS, 1 by default.
"""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

import SimpleITK as sitk
from prediction_models import FULL, RECIPES, SMOKE, Workshop
from prediction_worker import STOCK
from report import command_line, machine, print_table

from nnunet_pancext.demo.split import CaseFolders
from nnunet_pancext.evaluation.targets import FOREGROUND, read_targets
from nnunet_pancext.io.files import read_json
from nnunet_pancext.prediction.self_test.scores import dice_by_label

WAYS = (STOCK, "exact", "balanced", "fast")
PAIR = ("cascade", "resenc")
ENDING = ".nii.gz"
LEAST_DICE = 0.8  # of the foreground: a model below is not fit to be measured with
SLOWER = 1.1  # times stock's processor time, which other programs disturb less; no case may take longer
HEADING = [
    "",
    "windows",
    "forwards",
    "seconds",
    "times sooner: median",
    "slowest",
    "network and export",
    "processor",
    "added MB",
    "Dice",
    "change: mean",
    "largest",
    "voxels differing",
    "whole image",
]
Row = dict[str, Any]


class Worker:
    """A process of `prediction_worker.py` that waits for cases."""

    def __init__(self, way: str, model: Path, environment: dict[str, str]) -> None:
        script = Path(__file__).with_name("prediction_worker.py")
        self.words = [sys.executable, str(script), way, str(model)]
        self.process = subprocess.Popen(
            self.words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._answer()

    def predict(self, image: Path, out: Path) -> dict[str, Any]:
        """Predict a case and return what it took."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"images": [str(image)], "out": str(out)}) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """Let the process end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{' '.join(self.words)} ended early")
        return json.loads(line)


def measure(
    models: Sequence[str], *, workshop: Workshop, cases: CaseFolders, ways: Sequence[str], file: Path
) -> list[Row]:
    """Predict every case with every model in every way, in turn; return a row for each prediction.

    They are kept in `file` case by case; what is there is not measured again.
    """
    folders = {name: workshop.model_folder(name) for name in models}
    rows = read_cases(file)
    done = {row["case"] for row in rows}
    workers = {
        (name, way): Worker(way, folder, workshop.environment)
        for name, folder in folders.items()
        for way in ways
    }
    out = workshop.root / "predictions"
    out.mkdir(exist_ok=True)
    try:
        for image in sorted(cases.images.iterdir()):
            case = image.name.removesuffix(f"_0000{ENDING}")
            if case in done:
                continue
            truth = read_labels(cases.labels / f"{case}{ENDING}")
            organ = int((truth > 0).sum())
            stock = None
            for (name, way), worker in workers.items():
                target = out / f"{name}_{way}_{case}"
                answer = worker.predict(image, target)
                labels = read_labels(target.with_name(target.name + ENDING))
                if way == STOCK:
                    stock = labels
                targets = read_targets(read_json(folders[name] / "dataset.json")["labels"])
                rows.append(
                    {
                        "model": name,
                        "way": way,
                        "case": case,
                        "organ": organ,
                        "coarse": 0,
                        "growths": 0,
                        "fallback": "",
                        **{key: value for key, value in answer.items() if key != "seconds"},
                        **answer["seconds"],
                        **{f"dice {label}": dice for label, dice in _dice(labels, truth, targets).items()},
                        "differing": int((labels != stock).sum()),
                        "foreground": int((stock > 0).sum()),
                    }
                )
                print(name, case, way, f"{answer['seconds']['total']:.1f} s", file=sys.stderr, flush=True)
            write_cases(rows, file)
    finally:
        for worker in workers.values():
            worker.close()
    return rows


def measure_ct(model: str, *, workshop: Workshop, image: Path, ways: Sequence[str]) -> list[list[str]]:
    """Return a row for each way of predicting a CT: windows and time, for its label map means nothing."""
    rows, stock = [], 0.0
    for way in ways:
        worker = Worker(way, workshop.model_folder(model), workshop.environment)
        answer = worker.predict(image, workshop.root / "predictions" / f"{model}_{way}_ct")
        worker.close()
        seconds = answer["seconds"]["total"]
        stock = stock or seconds
        windows = f"{answer['windows']} + {answer.get('coarse', 0)}"
        numbers = [str(answer["forwards"]), f"{seconds:.1f}", f"{stock / seconds:.2f}"]
        rows.append([model, way, windows, *numbers, answer.get("fallback", "")])
    return rows


def _dice(labels: Any, truth: Any, targets: Any) -> dict[str, float]:
    return dice_by_label(labels, truth, targets=targets)


def read_labels(file: Path) -> Any:
    """Return a label map (slice, row, column)."""
    return sitk.GetArrayFromImage(sitk.ReadImage(str(file)))


def of_way(rows: Iterable[Row], model: str, way: str) -> list[Row]:
    """Return the rows of a model and way, case by case."""
    return [row for row in rows if (row["model"], row["way"]) == (model, way)]


def stock_beside(rows: Iterable[Row], found: Sequence[Row]) -> list[Row]:
    """Return stock's rows of the same model and cases as those found."""
    stock = {(row["model"], row["case"]): row for row in rows if row["way"] == STOCK}
    return [stock[row["model"], row["case"]] for row in found]


def ratios(stock: Sequence[Row], other: Sequence[Row], *keys: str) -> list[float]:
    """Return stock's seconds by the other way's, case by case."""
    return [
        sum(ours[key] for key in keys) / sum(theirs[key] for key in keys)
        for ours, theirs in zip(stock, other, strict=True)
    ]


def table(rows: Sequence[Row], model: str, ways: Sequence[str]) -> list[list[str]]:
    """Return the table's row of each way of a model."""
    lines = []
    for way in ways:
        found = of_way(rows, model, way)
        if not found:
            continue
        stock = stock_beside(rows, found)
        total = ratios(stock, found, "total")
        changes = [
            ours[f"dice {FOREGROUND}"] - theirs[f"dice {FOREGROUND}"]
            for ours, theirs in zip(found, stock, strict=True)
        ]
        foreground = sum(row["foreground"] for row in found)
        lines.append(
            [
                way,
                f"{median(row['windows'] for row in found):.0f}",
                f"{median(row['forwards'] for row in found):.0f}",
                f"{median(row['total'] for row in found):.2f}",
                f"{median(total):.2f}",
                f"{min(total):.2f}",
                f"{median(ratios(stock, found, 'network', 'export and write')):.2f}",
                f"{median(ratios(stock, found, 'processor')):.2f}",
                f"{max(row['megabytes'] for row in found):.0f}",
                f"{fmean(row[f'dice {FOREGROUND}'] for row in found):.4f}",
                f"{fmean(changes):+.4f}",
                f"{max(changes, key=abs):+.4f}",
                f"{10000 * sum(row['differing'] for row in found) / max(foreground, 1):.1f} in 10,000",
                f"{sum(bool(row['fallback']) for row in found)} of {len(found)}",
            ]
        )
    return lines


def pair_table(rows: Sequence[Row]) -> list[list[str]]:
    """Return the seconds of the two-stage network by those of ResEnc-L, for pairs of ways."""
    cascade, residual = PAIR
    lines = []
    for ours, theirs in (
        (STOCK, STOCK),
        *((way, STOCK) for way in WAYS[1:]),
        *((way, way) for way in WAYS[1:]),
    ):
        found = [
            mine["total"] / other["total"]
            for mine, other in zip(of_way(rows, cascade, ours), of_way(rows, residual, theirs), strict=True)
        ]
        lines.append([ours, theirs, f"{median(found):.2f}", f"{min(found):.2f} to {max(found):.2f}"])
    return lines


def write_cases(rows: Sequence[Row], file: Path) -> None:
    """Write a row for each prediction."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)


def read_cases(file: Path) -> list[Row]:
    """Return the rows in a file that `write_cases` wrote; none where it is not there."""
    if not file.is_file():
        return []

    def value(text: str) -> Any:
        try:
            return float(text)
        except ValueError:
            return text

    with file.open(newline="", encoding="utf-8") as stream:
        return [{key: value(text) for key, text in row.items()} for row in csv.DictReader(stream)]


def report(rows: Sequence[Row], models: Sequence[str], ways: Sequence[str]) -> None:
    """Print the tables."""
    for model in models:
        stock = of_way(rows, model, STOCK)
        patch = " x ".join(map(str, RECIPES[model].patch))
        print_table(f"{model}, patch {patch}, {len(stock)} phantoms", table(rows, model, ways), HEADING)
        largest = max(stock, key=lambda row: row["organ"])["case"]
        its_own = [row for row in rows if row["case"] == largest]
        print_table(f"{model}, the largest organ", table(its_own, model, ways), HEADING)
        dice = fmean(row[f"dice {FOREGROUND}"] for row in stock)
        if dice < LEAST_DICE:
            print(f"\nThe model is too weak to be measured with: its Dice is {dice:.3f}, below {LEAST_DICE}.")
        for way in ways:
            found = of_way(rows, model, way)
            sooner = ratios(stock_beside(rows, found), found, "processor")
            slower = [
                f"{row['case']} ({1 / ratio:.2f})"
                for row, ratio in zip(found, sooner, strict=True)
                if ratio < 1 / SLOWER
            ]
            if slower:
                print(f"\n{way} took over {SLOWER} times stock's processor time: {', '.join(slower)}.")
    if set(PAIR) <= set(models) and set(ways) == set(WAYS):
        heading = ["two-stage network", "ResEnc-L", "time ratio, median", "range"]
        print_table("The two-stage network against ResEnc-L", pair_table(rows), heading)


def main() -> None:
    """Train what is missing, measure, and print the tables."""
    parser = command_line(__doc__)
    parser.add_argument("work", type=Path, metavar="WORK", help="folder of all files, kept")
    parser.add_argument("--models", nargs="+", choices=RECIPES, default=["3d", "2d"])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="stock is always measured")
    parser.add_argument("--cases", type=int, default=20, help="new phantoms (default 20)")
    parser.add_argument("--ct", type=Path, metavar="FILE", help="also the time of this CT")
    parser.add_argument("--train", action="store_true", help="only train")
    parser.add_argument("--report", action="store_true", help="only print what was measured before")
    parser.add_argument("--smoke", action="store_true", help="one iteration, two small phantoms")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    workshop = Workshop(options.work, SMOKE if options.smoke else FULL)
    if options.train:
        for name in options.models:
            print(workshop.model_folder(name), flush=True)
        return
    ways = [STOCK, *(way for way in options.ways if way != STOCK)]
    threads = f"{os.environ['OMP_NUM_THREADS']} thread(s)"
    print(machine("torch", "nnunetv2", "nnunet-pancext", notes=(threads,)), flush=True)
    cases = workshop.new_cases(2 if options.smoke else options.cases)
    groups = [[name] for name in options.models if name not in PAIR or not set(PAIR) <= set(options.models)]
    if set(PAIR) <= set(options.models):
        groups.append(list(PAIR))  # in one run, to compare them
    for models in groups:
        file = workshop.root / f"prediction_{'_'.join(models)}.csv"
        if options.report:
            rows = read_cases(file)
        else:
            rows = measure(models, workshop=workshop, cases=cases, ways=ways, file=file)
        report(rows, models, ways)
    if options.ct:
        heading = ["", "", "windows + coarse", "forwards", "seconds", "times sooner", "whole image because"]
        rows_of_ct = [
            row
            for name in options.models
            for row in measure_ct(name, workshop=workshop, image=options.ct, ways=ways)
        ]
        print_table("A CT, of which models trained on phantoms know nothing", rows_of_ct, heading)


if __name__ == "__main__":
    main()
