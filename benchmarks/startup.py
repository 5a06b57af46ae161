"""What the plugin adds to the start of a Python process; prints milliseconds."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path


def main(command: str) -> None:
    """Time the plugin's line in its .pth file as if `command` were starting."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    sys.orig_argv = ["python", command]
    start = time.perf_counter()
    import nnunet_pancext_discovery

    nnunet_pancext_discovery.register()
    print(json.dumps({"milliseconds": (time.perf_counter() - start) * 1000}))


if __name__ == "__main__":
    main(sys.argv[1])
