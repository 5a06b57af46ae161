"""Prints the cost of reading a checkpoint as data, relative to torch.load.

python benchmarks/checkpoint_reading.py [--work FOLDER] [--rounds 5]

Writes a checkpoint with the tensors of nnU-Net's 3D network and their momentum, and one of many small ones,
under FOLDER (default: a temporary one). Each reading has a process of its own.
"""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
from report import command_line, machine, measure_alone, print_table

KINDS = ("torch.load", "read_torch_file")
WIDTHS = (32, 64, 128, 256, 320, 320)


def write_checkpoints(folder: Path) -> dict[str, Path]:
    """Write the two checkpoints and return them by what they are."""
    weights = {
        f"{part}.{stage}.{number}.weight": torch.randn(width, width, 3, 3, 3)
        for part in ("encoder", "decoder")
        for stage, width in enumerate(WIDTHS)
        for number in range(2)
    }
    logging = {"dice_per_class": [[0.5, 0.25]] * 1000, "train_losses": [0.1] * 1000}
    contents = {
        "1000 epochs of a 3D network": {"network_weights": weights, "momentum": weights, "logging": logging},
        "20,000 tensors of 16 values": {str(number): torch.randn(16) for number in range(20_000)},
    }
    files = {}
    for number, (name, content) in enumerate(contents.items()):
        if "momentum" in content:
            content = {**content, "momentum": {key: value.clone() for key, value in weights.items()}}
        files[name] = folder / f"checkpoint_{number}.pth"
        torch.save(content, files[name])
    return files


def read(kind: str, file: Path) -> None:
    """Read the file and print seconds and peak memory."""
    if kind == "read_torch_file":
        from nnunet_pancext.checkpoints.torch_file import read_torch_file as load
    else:

        def load(path: Path) -> object:
            return torch.load(path, map_location="cpu", weights_only=False)

    file.read_bytes()  # into the cache of the operating system
    started = time.perf_counter()
    content = load(file)
    seconds = time.perf_counter() - started
    del content
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "megabytes": peak}))


def main() -> None:
    """Measure both readers in turn."""
    parser = command_line(__doc__)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        print(machine("torch"))
        for name, file in write_checkpoints(Path(folder)).items():
            rounds = [
                {kind: measure_alone(Path(__file__).name, kind, file) for kind in KINDS}
                for _ in range(options.rounds)
            ]
            rows = []
            for kind in KINDS:
                ratios = [
                    f"{median(turn[kind][key] / turn[KINDS[0]][key] for turn in rounds):.2f}"
                    for key in ("seconds", "megabytes")
                ]
                seconds = median(turn[kind]["seconds"] for turn in rounds)
                rows.append([kind, f"{seconds:.3f}", *ratios])
            size = file.stat().st_size / 1e6
            print_table(f"{name}, {size:.0f} MB", rows, ["", "seconds", "time ratio", "memory ratio"])


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] in KINDS:
        read(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
