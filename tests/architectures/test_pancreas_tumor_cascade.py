import pytest
import torch
from contracts.architecture import ArchitectureContract
from contracts.gradients import idle_parameters, mean_square
from contracts.half_precision import check_half_precision
from contracts.small_cascade import SIZE, SMALL, build, compose, finds, with_truth
from torch import nn
from torch.nn import functional

from nnunet_pancext.architectures import PancreasTumorCascade
from nnunet_pancext.architectures.blocks.head import init_prior_bias
from nnunet_pancext.architectures.blocks.saliency import SaliencyChange
from nnunet_pancext.architectures.class_probabilities import UNSEEN_LOGIT_BOUND, compose_log_probabilities
from nnunet_pancext.architectures.pancreas_tumor_cascade import ORGAN_PRIOR, PHASES
from nnunet_pancext.architectures.windows import choose_windows, random_margins
from nnunet_pancext.losses.cascade import dice_loss


@pytest.fixture(params=[2, 3], ids=["2d", "3d"])
def dims(request):
    return request.param


class TestPancreasTumorCascade(ArchitectureContract):
    """What of the shared contract applies: without the truth the cascade has one output."""

    network_class = PancreasTumorCascade
    num_downsamplings = 4
    options = SMALL
    strides_are_kernels = True
    has_auxiliary_heads = False
    test_deep_supervision_lists_logits_finest_first = None
    test_a_checkpoint_reloads_strictly_without_deep_supervision = None
    test_deep_supervision_can_be_switched = None
    test_a_gradient_reaches_every_parameter = None
    test_half_precision_stays_finite = None
    test_anisotropic_strides = None
    test_compiles_without_a_graph_break = None  # the crop is one

    def build(self, *args, **options):
        """Let stage 1 find something without training, so that stage 2 runs."""
        network = super().build(*args, **options)
        nn.init.zeros_(network.stage_1.head.seg_layers.bias)
        return network

    @pytest.mark.parametrize("num_classes", [2, 3, 4])
    def test_any_number_of_classes_and_channels(self, spatial_dims, num_classes):
        network = self.build(spatial_dims, in_channels=3, num_classes=num_classes).eval()
        assert network(self.image(network, channels=3)).shape[1] == num_classes


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("empty", [(False, False), (False, True), (True, True)], ids=str)
def test_every_parameter_has_a_gradient_in_every_phase(dims, phase, empty):
    """Else DistributedDataParallel would stop."""
    network = finds(build(dims, deep_supervision=True), -1.0)
    network.phase = phase
    output = network(with_truth(dims, empty=empty))
    assert (output.windows is None) is (empty == (True, True))
    total = output.organ_logits.mean() + sum(logits.mean() for logits in output.lesion_logits)
    total.backward()
    assert all(
        parameter.grad is not None and torch.isfinite(parameter.grad).all()
        for parameter in network.parameters()
    )


def test_every_parameter_learns():
    network = build(deep_supervision=True)
    network.phase = "I"

    def loss(output):
        return mean_square([output.organ_logits, *output.lesion_logits])

    assert idle_parameters(network, with_truth(), loss=loss) == []


@pytest.mark.parametrize(("phase", "reached"), [("S", False), ("I", True), ("J", True)])
def test_stage_2_teaches_stage_1_from_the_first_step_of_i_on(dims, phase, reached):
    network = build(dims, deep_supervision=True)
    network.phase = phase
    sum(logits.square().mean() for logits in network(with_truth(dims)).lesion_logits).backward()
    gradient = network.stage_1.backbone.first_encoder[0][0].weight.grad
    assert (gradient is not None and bool(gradient.any())) is reached


def test_stage_1_begins_with_the_prior(dims):
    network = build(dims)
    start = network.stage_1.head.seg_layers.bias.sigmoid()
    torch.testing.assert_close(start, torch.tensor([ORGAN_PRIOR]))


def test_a_rare_organ_is_learnt_from_the_prior_and_not_from_one_half():
    """Dice alone pushes the background down, from 1/2, by a gradient as small as the organ is rare."""
    target = torch.zeros(2, 1, 64, 64)
    target[..., 20:26, 20:26] = 1
    image = target + 0.5 * torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
    losses = {}
    for prior in (ORGAN_PRIOR, 0.5):
        stage_1 = build().stage_1
        init_prior_bias(prior, stage_1.head)
        optimizer = torch.optim.SGD(stage_1.parameters(), lr=0.01, momentum=0.99, nesterov=True)
        for _ in range(20):
            loss = dice_loss(stage_1(image), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses[prior] = loss.item()
    assert losses[ORGAN_PRIOR] < 0.7
    assert losses[0.5] > 0.95


def test_the_saliency_starts_within_one_percent_of_the_identity(dims):
    axes = torch.meshgrid(*(torch.arange(length) - length / 2 for length in SIZE[dims]), indexing="ij")
    probability = (10 - torch.stack(axes).square().sum(0).sqrt()).sigmoid()[None, None]  # a ball
    for seed in range(30):
        torch.manual_seed(seed)
        found = SaliencyChange(spatial_dims=dims, in_channels=2)(probability)
        assert (found - 1).abs().max() < 0.01
        assert found.std() > 0


def test_windows_follow_the_truth_in_s_and_i_and_stage_1_in_j():
    image = with_truth(empty=(False, True))
    network = finds(build(deep_supervision=True), 1.0)
    samples = {}
    for network.phase in PHASES:
        windows = network(image).windows
        samples[network.phase] = (windows.samples, windows.size)
    assert samples["S"][0] == samples["I"][0] == (0,)
    assert samples["S"][1] != SIZE[2]
    assert samples["J"] == ((0, 1), SIZE[2])


def test_j_falls_back_on_the_truth_where_stage_1_finds_nothing():
    network = finds(build(deep_supervision=True), -1.0)
    windows = network(with_truth(empty=(False, True))).windows
    assert windows.samples == (0,)
    ((start_y, start_x),) = windows.starts
    assert start_y <= 20
    assert start_x <= 20


def test_in_prediction_windows_follow_stage_1_alone():
    network = finds(build(deep_supervision=True), -1.0).eval()
    assert network(with_truth()).windows is None
    network = finds(network, 1.0)
    assert network(with_truth()).windows.samples == (0, 1)


def test_without_organ_stage_2_does_not_run_and_there_is_no_tumour(dims):
    network = finds(build(dims), -1.0).eval()
    network.stage_2.register_forward_hook(lambda *_: pytest.fail("stage 2 ran"))
    probabilities = network(torch.randn(1, 1, *SIZE[dims])).softmax(1)
    lesion = torch.sigmoid(torch.tensor(-UNSEEN_LOGIT_BOUND))
    torch.testing.assert_close(probabilities[:, 2], lesion.expand_as(probabilities[:, 2]))
    expected = (1 - lesion) * torch.sigmoid(torch.tensor(-1.0))
    torch.testing.assert_close(probabilities[:, 1], expected.expand_as(probabilities[:, 1]))


def test_the_probabilities_are_those_of_the_paper():
    generator = torch.Generator().manual_seed(0)
    organ, lesion = (5 * torch.randn(2, 1, 64, 64, generator=generator) for _ in range(2))
    p1, p2 = organ.sigmoid(), lesion.sigmoid()
    found = compose(organ, lesion).softmax(1)
    expected = torch.cat([(1 - p2) * (1 - p1), (1 - p2) * p1, p2], dim=1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(compose(organ, lesion).exp().sum(1), torch.ones(2, 64, 64))


def test_where_stage_1_is_sure_stage_2_alone_decides():
    lesion = torch.randn(1, 1, 64, 64)
    found = compose(torch.full_like(lesion, 60.0), lesion).softmax(1)
    torch.testing.assert_close(found[:, 2:], lesion.sigmoid())
    torch.testing.assert_close(found[:, 1:2], 1 - lesion.sigmoid())
    assert found[:, 0].max() < 1e-6


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("num_classes", "roles"), [(3, (1, 2)), (5, (4, 2))])
@pytest.mark.parametrize("organs", [(31.0, -31.0), (60.0, -40.0)])
@pytest.mark.parametrize("lesions", [(-60.0, -60.0), (40.0, -40.0), None], ids=str)
def test_passes_that_contradict_each_other_average_to_no_class_that_none_saw(
    num_classes, roles, organs, lesions, training
):
    """nnU-Net averages over flips and patches; None: stage 2 did not look."""
    passes = []
    for organ, lesion in zip(organs, lesions or (None, None), strict=True):
        logits = torch.full((1, 1, 8, 8), organ)
        seen = None if lesion is None else torch.full_like(logits, lesion)
        passes.append(compose(logits, seen, num_classes=num_classes, roles=roles, training=training))
    seen = {output.argmax(1).unique().item() for output in passes}
    for shares in ((0.5, 0.5), (0.4, 0.6), (0.1, 0.9)):
        mean = sum(share * output for share, output in zip(shares, passes, strict=True))
        assert mean.argmax(1).unique().item() in seen | {0, roles[0]}


def test_log_probabilities_survive_half_precision():
    organ = torch.linspace(-80, 80, 64).repeat(64, 1)[None, None]
    lesion = organ.transpose(2, 3)
    logs = compose(organ, lesion)
    assert torch.isfinite(logs).all()
    half = logs.half()
    assert torch.isfinite(half).all()
    torch.testing.assert_close(half.float().softmax(1), logs.softmax(1), rtol=0, atol=0.02)


def test_roles_say_which_channel_is_the_lesion():
    organ, lesion = torch.randn(1, 1, 64, 64), torch.randn(1, 1, 64, 64)
    usual, turned = compose(organ, lesion), compose(organ, lesion, roles=(2, 1))
    assert torch.equal(usual[:, [0, 2, 1]], turned)
    further = compose(organ, lesion, num_classes=5, roles=(4, 2)).softmax(1)
    assert further[:, [1, 3]].max() < 1e-6
    torch.testing.assert_close(further[:, [0, 4, 2]], usual.softmax(1), rtol=1e-4, atol=1e-6)


def test_roles_travel_with_a_checkpoint():
    network = build()
    network.roles.copy_(torch.tensor([2, 1]))
    reloaded = build()
    reloaded.load_state_dict(network.state_dict(), strict=True)
    assert reloaded.roles.tolist() == [2, 1]


def test_one_class_is_refined_in_the_window():
    network = build(num_classes=2).eval()
    with torch.no_grad():
        organ = torch.full((1, 1, 64, 64), -3.0)
        organ[..., 30:34, 30:34] = 3.0
        windows = choose_windows(organ > 0, margin=(2, 2), size_divisibility=(16, 16))
        assert windows.size == (32, 32)
        lesion = torch.randn(1, 1, 32, 32)
        options = {"roles": network.roles, "num_classes": 2, "training": False}
        found = compose_log_probabilities(organ, lesion, windows, **options)
    expected = windows.paste(lesion, onto=organ).clamp(-UNSEEN_LOGIT_BOUND, UNSEEN_LOGIT_BOUND)
    torch.testing.assert_close(found[:, 1:], functional.logsigmoid(expected))
    assert network(torch.randn(1, 1, 64, 64)).shape == (1, 2, 64, 64)


def test_five_maps_are_supervised_in_the_windows_size(dims):
    output = build(dims, deep_supervision=True)(with_truth(dims))
    assert len(output.lesion_logits) == 5
    assert {tuple(logits.shape[2:]) for logits in output.lesion_logits} == {output.windows.size}


@pytest.mark.parametrize(
    ("options", "maps"),
    [
        ({"crop": False, "saliency": False, "localization": False, "focusing": False}, 1),
        ({"saliency": False, "localization": False, "focusing": False}, 1),
        ({"localization": False, "focusing": False}, 1),
        ({"focusing": False}, 5),
        ({"sides": ("foreground",)}, 5),
        ({"sides": ("background",)}, 5),
    ],
    ids=["M", "M-P", "M-P-T", "M-P-T-L", "false positives", "false negatives"],
)
def test_ablations(options, maps):
    network = finds(build(deep_supervision=True, **options), -1.0)
    output = network(with_truth())
    assert len(output.lesion_logits) == maps
    assert (output.windows.size == SIZE[2]) is (options.get("crop") is False)
    assert (network.saliency is None) is (options.get("saliency") is False)
    (output.organ_logits.mean() + sum(logits.square().mean() for logits in output.lesion_logits)).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
def test_half_precision_stays_finite(dtype):
    check_half_precision(
        build(deep_supervision=True),
        with_truth(),
        dtype,
        outputs_of=lambda output: [output.organ_logits, *output.lesion_logits, output.log_probabilities],
    )


def test_random_margins_are_between_none_and_twice_the_margin():
    drawn = [random_margins((3, 5)) for _ in range(300)]
    fixed = [pair for pair in drawn if pair == ((3, 5), (3, 5))]
    assert 90 < len(fixed) < 210
    values = [side for pair in drawn for side in pair]
    assert {value for value, _ in values} == set(range(7))
    assert {other for _, other in values} == set(range(11))


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match="num_classes is 1"):
        build(num_classes=1)
    for margin in (-1, (1, 2, 3)):
        with pytest.raises(ValueError, match="needs one number of at least 0 for each axis"):
            build(margin=margin)


def test_stages_have_weights_of_their_own():
    network = build()
    assert isinstance(network.stage_1, nn.Module)
    shared = {id(parameter) for parameter in network.stage_1.parameters()}
    assert not shared & {id(parameter) for parameter in network.stage_2.parameters()}
