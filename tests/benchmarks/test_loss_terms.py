"""The benchmark of the loss terms builds the network that it measures."""

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


class Built(Exception):
    """Ends the script as soon as it has its network; the steps take minutes."""


def test_the_network_is_built_and_gets_an_image_of_its_own_patch(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    script = importlib.import_module("loss_terms")
    asked = []

    def stop(*arguments):
        asked.append(arguments)
        raise Built

    monkeypatch.setattr(script, "case_of", stop)
    monkeypatch.setattr("sys.argv", ["loss_terms.py"])
    with pytest.raises(Built):
        script.main()
    assert asked == [("PlainConvUNet", (1, *script.PATCH), "cpu")]
