"""Prints the milliseconds that the plugin adds to the start of a Python process.

python -I -S benchmarks/startup.py COMMAND SITE_PACKAGES

`-S` keeps the plugin's `.pth` file from running before it is timed, so that the folder in which nnU-Net's
version is looked up must be given.
"""

import json
import sys
import time
from pathlib import Path


def main(command: str, site_packages: str) -> None:
    """Time the plugin's line in its .pth file as if `command` were starting."""
    sys.path += [str(Path(__file__).resolve().parents[1]), site_packages]
    sys.orig_argv = ["python", command]
    start = time.perf_counter()
    import nnunet_pancext_discovery

    nnunet_pancext_discovery.register()
    print(json.dumps({"milliseconds": (time.perf_counter() - start) * 1000}))


if __name__ == "__main__":
    main(*sys.argv[1:])
