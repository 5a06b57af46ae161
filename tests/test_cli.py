"""The command line itself, whatever the command."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path


def test_a_reader_that_has_seen_enough_is_no_error():
    command = [Path(sysconfig.get_path("scripts")) / "pancext", "splits", "list"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert said == ""
    assert process.returncode == 141
