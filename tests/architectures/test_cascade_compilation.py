"""The cascade under `torch.compile`: few graphs, whatever the windows."""

import random

import pytest
import torch
from contracts.small_cascade import build, finds
from torch import nn

pytestmark = pytest.mark.slow


def test_stage_2_is_compiled_where_the_network_is(monkeypatch):
    network = finds(build(localization=False, focusing=False), 1.0).eval()  # traced in a third of the time
    image = torch.randn(1, 1, 64, 64)
    asked = []
    with_eager = nn.Module.compile

    def compile_stage_2(self):
        asked.append(self)
        with_eager(self, backend="eager")  # the default needs a compiler

    monkeypatch.setattr(type(network.stage_2), "compile", compile_stage_2)
    expected = network(image)
    assert not asked
    compiled = torch.compile(network, backend="eager")
    for _ in range(2):
        torch.testing.assert_close(compiled(image), expected)
    assert asked == [network.stage_2]
    torch._dynamo.reset()


def test_few_graphs_for_windows_of_any_number_and_size():
    """oneDNN's convolutions, left out here, are chosen by their size, on a CPU alone: graphs of their own."""
    graphs = {"network": 0, "stage 2": 0}

    def count(name):
        def backend(graph, example_inputs):
            graphs[name] += 1
            return graph.forward

        return backend

    network = finds(build(deep_supervision=True, sides=("foreground",)), -1.0).train()
    network.phase = "I"  # windows around the truth
    compiled = torch.compile(network, backend=count("network"))
    network.stage_2.compile(backend=count("stage 2"))
    generator = random.Random(0)
    seen = set()
    for _ in range(30):
        image = torch.randn(12, 2, 48, 64)
        image[:, 1] = 0
        for sample in generator.sample(range(12), generator.randint(1, 12)):
            height, width = generator.randint(1, 40), generator.randint(1, 60)
            image[sample, 1, :height, :width] = 1
        with torch.backends.mkldnn.flags(enabled=False):
            windows = compiled(image).windows
        seen.add((len(windows.samples), windows.size))
    assert len(seen) >= 10
    torch._dynamo.reset()
    assert graphs == {"network": 1, "stage 2": 2}  # one window, or several
