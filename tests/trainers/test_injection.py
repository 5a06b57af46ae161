from copy import deepcopy

import pytest
import torch
from contracts.gradients import idle_parameters
from contracts.half_precision import check_half_precision
from contracts.made_preprocessed import (
    PATCHES,
    made_dataset_json,
    made_plans,
    made_trainer,
    make_preprocessed,
    use_folders,
)
from contracts.trainer import LossContract, TrainerContract
from nnunetv2.run.load_pretrained_weights import load_pretrained_weights
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import nn

from nnunet_pancext.errors import NNUNetCommandError
from nnunet_pancext.losses import ISBLoss
from nnunet_pancext.trainers import (
    find_trainer,
    nnUNetTrainerAttentionGates,
    nnUNetTrainerBaseline,
    nnUNetTrainerDynamicLoss,
    nnUNetTrainerFocusing,
    nnUNetTrainerISB,
    nnUNetTrainerNonLocal,
    nnUNetTrainerPhaseLoss,
)

RESIDUAL = "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet"
INJECTED = [nnUNetTrainerNonLocal, nnUNetTrainerAttentionGates]


class TestBaseline(LossContract):
    trainer = nnUNetTrainerBaseline


class TestNonLocal(TrainerContract):
    trainer = nnUNetTrainerNonLocal


class TestAttentionGates(TrainerContract):
    trainer = nnUNetTrainerAttentionGates


class TestPhaseLoss(LossContract):
    trainer = nnUNetTrainerPhaseLoss


class TestDynamicLoss(LossContract):
    trainer = nnUNetTrainerDynamicLoss


class TestFocusing(TrainerContract):
    trainer = nnUNetTrainerFocusing


class TestISB(LossContract):
    trainer = nnUNetTrainerISB
    refused = {
        "one foreground": "needs at least 3 classes.* this dataset has 2",
        "regions": "region-based labels",
        "regions and ignore": "region-based labels",
    }


@pytest.mark.parametrize("kind", ["one foreground", "regions"])
@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("nnUNetTrainerISB_5epochs", "nnUNetTrainerBaseline"),
        ("SegResNetNLTrainer_ISBLoss_5epochs", "SegResNetNLTrainer_5epochs"),
    ],
)
def test_labels_without_a_boundary_are_refused_at_once(tmp_path, monkeypatch, name, instead, kind):
    use_folders(monkeypatch, tmp_path)
    with pytest.raises(NNUNetCommandError, match=rf"ISB loss needs .* Train without it: {instead}\."):
        made_trainer(find_trainer(name), kind)


@pytest.mark.parametrize(
    "trainer", [nnUNetTrainerNonLocal, nnUNetTrainerAttentionGates, nnUNetTrainerFocusing]
)
def test_an_injected_network_compiles_without_a_graph_break(trainer):
    network = build(trainer, plans_of("PlainConvUNet"), "3d_fullres").eval()
    compiled = torch.compile(network, fullgraph=True, backend="eager")
    image = torch.randn(2, 1, *PATCHES["3d_fullres"][0])
    torch.testing.assert_close(compiled(image), network(image))
    torch._dynamo.reset()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
@pytest.mark.parametrize(
    "trainer", [nnUNetTrainerNonLocal, nnUNetTrainerAttentionGates, nnUNetTrainerFocusing]
)
def test_half_precision_stays_finite(trainer, dtype):
    network = build(trainer, plans_of("PlainConvUNet"), "2d")
    check_half_precision(network, torch.randn(2, 1, *PATCHES["2d"][0]), dtype)


class Ones(nn.Module):
    def forward(self, skip, gating):
        return torch.ones_like(skip[:, :1])


def plans_of(architecture):
    plans = made_plans()
    if architecture == "ResidualEncoderUNet":
        for name in PATCHES:
            described = plans["configurations"][name]["architecture"]
            described["network_class_name"] = RESIDUAL
            arguments = described["arch_kwargs"]
            arguments["n_blocks_per_stage"] = arguments.pop("n_conv_per_stage")
    return PlansManager(plans)


def build(trainer, plans, configuration, *, deep_supervision=True):
    torch.manual_seed(0)
    return trainer.build_network_architecture(
        plans, plans.get_configuration(configuration), 1, 3, deep_supervision
    )


def make_neutral(network):
    if isinstance(network.part, nn.Sequential):
        for block in network.part:
            assert not block.w_z.weight.any()  # it starts so
    else:
        network.part.gates = nn.ModuleList(Ones() for _ in network.part.gates)


@pytest.fixture(params=["PlainConvUNet", "ResidualEncoderUNet"])
def plans(request):
    return plans_of(request.param)


@pytest.fixture(params=["2d", "3d_fullres"])
def configuration(request):
    return request.param


@pytest.mark.parametrize("deep_supervision", [True, False])
@pytest.mark.parametrize("trainer", INJECTED)
def test_a_neutral_part_changes_no_bit(plans, configuration, trainer, deep_supervision):
    stock = build(nnUNetTrainer, plans, configuration, deep_supervision=deep_supervision).eval()
    network = build(trainer, plans, configuration, deep_supervision=deep_supervision).eval()
    make_neutral(network)
    image = torch.randn(2, 1, *PATCHES[configuration][0])
    with torch.no_grad():
        expected, found = stock(image), network(image)
    if not deep_supervision:
        expected, found = [expected], [found]
    assert len(found) == len(expected)
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))


@pytest.mark.parametrize("trainer", INJECTED)
def test_encoder_and_decoder_stay_nnunets_objects(plans, configuration, trainer):
    stock = build(nnUNetTrainer, plans, configuration)
    network = trainer.inject(stock, spatial_dims=len(PATCHES[configuration][0]))
    assert network.encoder is stock.encoder
    assert network.decoder is stock.decoder


@pytest.mark.parametrize("trainer", INJECTED)
def test_pretrained_weights_of_nnunet_load(plans, configuration, trainer, tmp_path, capsys):
    pretrained = build(nnUNetTrainer, plans, configuration)
    with torch.no_grad():
        for parameter in pretrained.parameters():
            parameter.normal_()
    file = tmp_path / "checkpoint_final.pth"
    torch.save({"network_weights": pretrained.state_dict()}, file)
    network = build(trainer, plans, configuration)
    before = deepcopy(network.injected.state_dict())
    load_pretrained_weights(network, str(file))
    found = network.state_dict()
    taken = {key: value for key, value in pretrained.state_dict().items() if ".seg_layers." not in key}
    assert len(taken) > 10
    assert all(torch.equal(found[key], value) for key, value in taken.items())
    assert all(torch.equal(network.injected.state_dict()[key], value) for key, value in before.items())


@pytest.mark.parametrize("trainer", INJECTED)
def test_a_gradient_reaches_the_part(plans, configuration, trainer):
    network = build(trainer, plans, configuration)
    if trainer is nnUNetTrainerNonLocal:
        for block in network.part:
            nn.init.normal_(block.w_z.weight, std=0.1)
    idle = idle_parameters(network, torch.randn(2, 1, *PATCHES[configuration][0]))
    part = {f"injected.{name}" for name, _ in network.injected.named_parameters()}
    assert part <= {name for name, _ in network.named_parameters()}
    assert part
    assert not part & set(idle)


@pytest.mark.parametrize("deep_supervision", [True, False])
def test_focusing_keeps_the_encoder_and_the_outputs_of_the_plan(plans, configuration, deep_supervision):
    size = PATCHES[configuration][0]
    stock = build(nnUNetTrainer, plans, configuration, deep_supervision=deep_supervision)
    network = nnUNetTrainerFocusing.inject(stock, spatial_dims=len(size))
    assert network.encoder is stock.encoder
    image = torch.randn(2, 1, *size)
    expected, found = stock(image), network(image)
    if not deep_supervision:
        expected, found = [expected], [found]
    assert [output.shape for output in found] == [output.shape for output in expected]
    sum(output.square().mean() for output in found).backward()
    idle = [name for name, value in network.named_parameters() if value.grad is None]
    assert not idle


def test_focusing_takes_pretrained_weights_into_its_encoder(plans, configuration, tmp_path, capsys):
    pretrained = build(nnUNetTrainer, plans, configuration)
    with torch.no_grad():
        for parameter in pretrained.parameters():
            parameter.normal_()
    file = tmp_path / "checkpoint_final.pth"
    torch.save({"network_weights": pretrained.state_dict()}, file)
    network = build(nnUNetTrainerFocusing, plans, configuration)
    before = deepcopy(network.injected.state_dict())
    load_pretrained_weights(network, str(file))
    found = network.encoder.state_dict()
    assert all(torch.equal(found[key], value) for key, value in pretrained.encoder.state_dict().items())
    assert all(torch.equal(network.injected.state_dict()[key], value) for key, value in before.items())


@pytest.mark.parametrize("deep_supervision", [True, False])
def test_the_isb_loss_is_added_to_nnunets_own(tmp_path, monkeypatch, deep_supervision):
    use_folders(monkeypatch, tmp_path)
    make_preprocessed(tmp_path)

    def trainer_of(weight):
        kind = type(
            "nnUNetTrainerISB",
            (nnUNetTrainerISB,),
            {"isb_weight": weight, "enable_deep_supervision": deep_supervision},
        )
        plans = {**made_plans(), "continue_training": False}
        trainer = kind(plans, "3d_fullres", 0, made_dataset_json(), torch.device("cpu"))
        trainer.initialize()
        return trainer

    with_isb, without = trainer_of(0.4), trainer_of(0.0)
    training, _ = without.get_dataloaders()
    target = next(training)["target"]
    finest = target[0] if deep_supervision else target
    generator = torch.Generator().manual_seed(0)
    outputs = [
        torch.randn(2, 3, *part.shape[2:], generator=generator)
        for part in (target if deep_supervision else [target])
    ]
    logits = outputs if deep_supervision else outputs[0]
    spacing = with_isb.configuration_manager.spacing
    expected = without.loss(logits, target) + 0.4 * ISBLoss(spacing=spacing)(outputs[0], finest)
    torch.testing.assert_close(with_isb.loss(logits, target), expected)


def test_attention_maps_of_the_gates(plans):
    network = build(nnUNetTrainerAttentionGates, plans, "3d_fullres").eval()
    maps = network.attention_maps(torch.randn(1, 1, 8, 32, 32))
    assert [tuple(found.shape) for found in maps] == [(1, 1, 8, 16, 16), (1, 1, 4, 8, 8), (1, 1, 2, 4, 4)]


def test_a_gate_weighs_the_encoders_features_and_is_steered_from_one_level_below(plans, configuration):
    network = build(nnUNetTrainerAttentionGates, plans, configuration).eval()
    decoded, given = [], []  # deepest first, as the gates are
    for stage in network.decoder.stages:
        stage.register_forward_hook(lambda _, inputs, output: decoded.append(output.clone()))
    for gate in network.part.gates:
        gate.register_forward_pre_hook(lambda _, inputs: given.append([value.clone() for value in inputs]))
    image = torch.randn(1, 1, *PATCHES[configuration][0])
    network(image)
    *skips, deepest = network.encoder(image)
    below = [network.part.signal(deepest), *decoded[:-2]]  # the finest two steer no gate
    for (skip, signal), encoded, expected in zip(given, reversed(skips[1:]), below, strict=True):
        assert torch.equal(skip, encoded)
        assert torch.equal(signal, expected)


@pytest.mark.parametrize("trainer", [nnUNetTrainerBaseline, nnUNetTrainerPhaseLoss, nnUNetTrainerDynamicLoss])
def test_a_weighted_loss_leaves_the_network_alone(plans, configuration, trainer):
    stock, network = (build(kind, plans, configuration) for kind in (nnUNetTrainer, trainer))
    assert type(network) is type(stock)
    assert all(torch.equal(value, stock.state_dict()[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("trainer", INJECTED)
def test_a_network_without_encoder_and_decoder_is_refused(trainer):
    with pytest.raises(NotImplementedError, match="Linear has no encoder and decoder"):
        trainer.inject(nn.Linear(1, 1), spatial_dims=2)
