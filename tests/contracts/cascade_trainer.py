"""What every trainer of the pancreatic-tumour cascade must do."""

from __future__ import annotations

import pytest
import torch
from contracts.made_preprocessed import PATCHES, make_previous_stage
from contracts.trainer import TrainerContract

from nnunet_pancext.errors import PancextError


def made_batch(organ=1, lesion=2):
    target = torch.zeros(2, 1, 32, 32)
    target[..., 4:16, 8:20] = organ
    target[..., 12:18, 12:16] = lesion  # reaches beyond the organ
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(2, 1, 32, 32, generator=generator) + (target > 0)
    return {"data": data, "target": [target], "keys": ["one", "other"]}


class CascadeContract(TrainerContract):
    small = {"base_channels": 8}
    resumed = "2d"
    refused = {
        "fourteen foregrounds": "Say so in its dataset.json",
        "regions": "region-based labels .* MultiScaleUNetTrainer",
        "regions and ignore": "region-based labels",
    }
    test_outputs_match_the_targets = None  # the maps lie in windows
    test_a_parameter_without_a_gradient_does_not_ask_for_one = None  # see the network's tests

    @pytest.mark.parametrize("configuration", [*PATCHES, "3d_cascade_fullres"])
    @pytest.mark.parametrize("deep_supervision", [True, False])
    def test_a_training_step_in_every_configuration(self, folders, configuration, deep_supervision):
        kind = self.variant()
        make_previous_stage(folders, kind.__name__)
        if deep_supervision:
            self._one_epoch(self.make(configuration, trainer=kind))
            return
        kind = type(kind.__name__, (kind,), {"enable_deep_supervision": False})
        with pytest.raises(PancextError, match="always supervises all its maps"):
            self.make(configuration, trainer=kind)
