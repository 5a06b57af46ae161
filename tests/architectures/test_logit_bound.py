"""However sure a network is, nnU-Net's prediction can add its logits up."""

import pytest
import torch
from contracts.made_preprocessed import made_dataset_json, made_plans
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_pancext.architectures import CDINSTSeg, DLKUNet
from nnunet_pancext.architectures.segmentation_network import LARGEST_LOGIT, rescale_logits

SMALL = {"spatial_dims": 2, "in_channels": 1, "num_classes": 3, "base_channels": 8}


def sure_network(kind=DLKUNet, **options):
    """Return a network with logits of many thousands."""
    torch.manual_seed(0)
    network = kind(**SMALL, **options).eval()
    with torch.no_grad():
        for parameter in network.head.parameters():
            parameter *= 1e6
    return network


def test_logits_are_scaled_down_by_one_factor_per_voxel():
    logits = torch.tensor([[-300.0, 150.0, 600.0], [1.0, -200.0, 200.0], [3.0, 0.0, -2.0]]).T[None]
    rescaled = rescale_logits(200.0, logits)
    torch.testing.assert_close(rescaled[0].T[0], torch.tensor([-100.0, 50.0, 200.0]))
    assert torch.equal(rescaled[0].T[1:], logits[0].T[1:])


@pytest.mark.parametrize("kind", [DLKUNet, CDINSTSeg])
def test_only_predictions_are_rescaled(kind):
    network, image = sure_network(kind), torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        rescaled = network(image)
        network.deep_supervision = True
        supervised = network(image)[0]
        network.train()
        trained = network(image)[0]
    assert supervised.abs().max() > 65504
    assert trained.abs().max() > 65504
    assert rescaled.abs().max() <= 1.001 * LARGEST_LOGIT
    assert torch.equal(rescaled.argmax(dim=1), supervised.argmax(dim=1))
    assert torch.equal(rescaled > 0, supervised > 0)


@pytest.mark.parametrize("step", [0.5, 0.1])
def test_a_prediction_does_not_overflow(step):
    plans = PlansManager(made_plans())
    network = sure_network(num_levels=3)
    # Two patches that nearly coincide along each axis weigh most.
    predictor = nnUNetPredictor(tile_step_size=step, device=torch.device("cpu"), allow_tqdm=False)
    predictor.manual_initialization(
        network, plans, plans.get_configuration("2d"), [network.state_dict()], made_dataset_json(), "", (0, 1)
    )
    image = torch.randn(1, 1, 33, 40)
    found = predictor.predict_logits_from_preprocessed_data(image)
    assert found.isfinite().all()
    assert 0 < found.abs().max() <= 1.01 * LARGEST_LOGIT  # added up in half precision
