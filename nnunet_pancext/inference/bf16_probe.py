"""Whether 2D convolutions in bfloat16 are correct and faster on this CPU, tried in a process of its own.

Where the processor lacks the instructions they are slow, and a faulty library may end the process.
"""

import subprocess
import sys
from functools import cache
from time import perf_counter

import torch

LEAST_SPEEDUP = 1.3
MOST_ERROR = 0.02  # of the largest value; bfloat16 has 8 bits
ROUNDS = 5
SECONDS = 60
RUN = f"import runpy; runpy.run_path({__file__!r}, run_name='__main__')"


@cache
def bfloat16_pays(threads: int) -> bool:
    """Whether 2D convolutions in bfloat16 with so many threads are correct and LEAST_SPEEDUP times faster."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", RUN, str(threads)], capture_output=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


@torch.inference_mode()
def is_correct_and_faster() -> bool:
    """Compare bfloat16 with single precision in this process."""
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(32, 32, 3, padding=1) for _ in range(3)]
    network = torch.nn.Sequential(*layers).eval()
    image = torch.randn(1, 32, 96, 96)

    def half() -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return network(image).float()

    expected = network(image)
    error = (half() - expected).abs().max() / expected.abs().max()
    seconds: dict[str, float] = {"single": float("inf"), "half": float("inf")}
    for _ in range(ROUNDS):
        for name, run in (("single", lambda: network(image)), ("half", half)):
            started = perf_counter()
            run()
            seconds[name] = min(seconds[name], perf_counter() - started)
    return bool(error <= MOST_ERROR) and seconds["single"] >= LEAST_SPEEDUP * seconds["half"]


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[1]))
    sys.exit(0 if is_correct_and_faster() else 1)
