import functools
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from contracts.made_preprocessed import (
    made_dataset_json,
    made_plans,
    make_preprocessed,
    make_previous_stage,
    use_folders,
)
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch.nn import functional

from nnunet_pancext.architectures.blocks.non_local import NonLocalBlock
from nnunet_pancext.attention.heatmap import write_maps
from nnunet_pancext.cli.main import main
from nnunet_pancext.errors import PancextError
from nnunet_pancext.trainers import (
    AttentionUNetTrainer,
    CDINSTSegTrainer,
    DLKUNetSTrainer,
    PancreasTumorCascadeTrainer,
    SegResNetNLTrainer,
    find_trainer,
)

pytestmark = pytest.mark.usefixtures("coarse_figures")

INTENSITIES = {"mean": 80.0, "std": 75.0, "percentile_00_5": -96.0, "percentile_99_5": 215.0}
SMALL = {
    AttentionUNetTrainer: {"num_heads": 2, "base_channels": 4},
    SegResNetNLTrainer: {"num_non_local_blocks": 2, "init_filters": 8},
    DLKUNetSTrainer: {"num_levels": 3, "base_channels": 4},
    PancreasTumorCascadeTrainer: {"base_channels": 8},
    CDINSTSegTrainer: {"base_channels": 8},
}
SIZE = (8, 32, 32)  # slices, rows, columns: one patch of 3d_fullres


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    """Train one iteration, once for each trainer and configuration, and return the model's folder."""
    root = tmp_path_factory.mktemp("trained")

    @functools.cache
    def run(name, configuration):
        kind = find_trainer(f"{name}_1epochs_1iterations")
        if "cascade" in configuration:
            make_previous_stage(root, kind.__name__)
        plans = {
            **made_plans(),
            "continue_training": False,
            "foreground_intensity_properties_per_channel": {"0": INTENSITIES},
        }
        trainer = kind(plans, configuration, 0, made_dataset_json(), torch.device("cpu"))
        trainer.run_training()
        return Path(trainer.output_folder_base)

    with pytest.MonkeyPatch.context() as patch:
        use_folders(patch, root)
        make_preprocessed(root)
        for kind, options in SMALL.items():
            patch.setattr(kind, "network_options", options)
        yield run


@pytest.fixture
def copy_of(train, tmp_path):
    """Return a copy of a trained model that a test may change."""

    def copy(name, configuration):
        folder = train(name, configuration)
        return Path(shutil.copytree(folder, tmp_path / "copy" / folder.name))

    return copy


@pytest.fixture
def image(tmp_path):
    values = np.random.default_rng(0).normal(60, 90, SIZE).astype(np.int16)
    volume = sitk.GetImageFromArray(values)
    spacing = made_plans()["configurations"]["3d_fullres"]["spacing"]
    volume.SetSpacing(spacing[::-1])
    volume.SetOrigin((-11.5, 20.25, 300.0))
    volume.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    path = tmp_path / "pancreas_001_0000.nii.gz"
    sitk.WriteImage(volume, str(path))
    return path


def attend(*words):
    return main(["attention", *map(str, words), "--device", "cpu"])


def network_of(folder, name, configuration):
    """Return the trained network, from its checkpoint."""
    plans = PlansManager(made_plans())
    network = find_trainer(name).build_network_architecture(
        plans, plans.get_configuration(configuration), 1, 3, False
    )
    weights = torch.load(folder / "fold_0" / "checkpoint_final.pth", weights_only=False)["network_weights"]
    network.load_state_dict(weights)
    return network.eval()


def normalised(image):
    """Return the image as the network gets it: it has the plan's spacing and no empty border."""
    values = sitk.GetArrayFromImage(sitk.ReadImage(str(image))).astype(np.float32)
    values = values.clip(INTENSITIES["percentile_00_5"], INTENSITIES["percentile_99_5"])
    return torch.from_numpy((values - INTENSITIES["mean"]) / INTENSITIES["std"])


def rows_by_hand(network, patch, voxel):
    """Return for each non-local block the voxel's row of the N x N softmax, enlarged to the patch."""
    blocks = [module for module in network.modules() if isinstance(module, NonLocalBlock)]
    given = []
    for block in blocks:
        block.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    with torch.no_grad():
        network(patch[None, None])
        matrices = [
            (block.theta(x) @ block.phi(x).T).softmax(dim=1)
            for block, x in zip(blocks, (features[0].flatten(1).T for features in given), strict=True)
        ]
    size = given[0].shape[2:]
    steps = [length // short for length, short in zip(patch.shape, size, strict=True)]
    row = np.ravel_multi_index([index // step for index, step in zip(voxel, steps, strict=True)], size)
    return [np.kron(matrix[row].reshape(size), np.ones(steps)) for matrix in matrices]


def test_gates_are_written_in_the_images_geometry(train, image, tmp_path, capsys):
    folder = train("AttentionUNetTrainer", "3d_fullres")
    out = tmp_path / "maps"
    assert attend(folder, image, "-o", out) == 0
    names = [f"pancreas_001_gate_level{level}_head{head}" for level in (2, 3, 4) for head in (1, 2)]
    assert sorted(path.name for path in out.iterdir()) == sorted(
        f"{name}{ending}" for name in names for ending in (".nii.gz", ".png")
    )
    shown = capsys.readouterr().out
    given = sitk.ReadImage(str(image))
    for name in names:
        assert name in shown
        written = sitk.ReadImage(str(out / f"{name}.nii.gz"))
        assert written.GetSize() == given.GetSize()
        for geometry in ("GetSpacing", "GetOrigin", "GetDirection"):
            np.testing.assert_allclose(getattr(written, geometry)(), getattr(given, geometry)(), atol=1e-4)


def test_for_an_image_of_one_patch_the_maps_equal_the_networks(train, image, tmp_path):
    folder = train("AttentionUNetTrainer", "3d_fullres")
    assert attend(folder, image, "-o", tmp_path / "maps") == 0
    network = network_of(folder, "AttentionUNetTrainer", "3d_fullres")
    with torch.no_grad():
        maps = network.attention_maps(normalised(image)[None, None])
    for level, expected in enumerate(maps, start=2):
        enlarged = functional.interpolate(expected, size=SIZE, mode="trilinear")[0]
        for head in (1, 2):
            path = tmp_path / "maps" / f"pancreas_001_gate_level{level}_head{head}.nii.gz"
            written = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
            np.testing.assert_allclose(written, enlarged[head - 1], atol=2e-3)  # nnU-Net sums in half


@pytest.mark.parametrize("configuration", ["2d", "3d_fullres"])
@pytest.mark.parametrize("name", ["SegResNetNLTrainer", "nnUNetTrainerNonLocal"])
def test_non_local_maps_are_what_the_voxel_attends_to(train, image, tmp_path, name, configuration):
    folder = train(name, configuration)
    network, data = network_of(folder, name, configuration), normalised(image)
    rows = {1: [], 2: []}
    for voxel in ((3, 20, 9), (6, 5, 25)):
        out = tmp_path / f"from_slice_{voxel[0]}"
        assert attend(folder, image, "-o", out, "--at", *voxel) == 0
        assert len(list(out.glob("*.png"))) == 2
        planar = configuration == "2d"
        where = voxel[0] if planar else slice(None)  # a 2D network does not see the other slices
        for block, row in enumerate(rows_by_hand(network, data[where], voxel[planar:]), start=1):
            expected = np.zeros(SIZE)
            expected[where] = row
            written = sitk.GetArrayFromImage(
                sitk.ReadImage(str(out / f"pancreas_001_nonlocal_block{block}.nii.gz"))
            )
            np.testing.assert_allclose(written, expected, rtol=0, atol=1e-6)
            rows[block].append(row)
    for first, second in rows.values():
        assert np.abs(first - second).max() > 1e-3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Say from which: --at SLICE ROW COLUMN"),
        (("--at", 8, 0, 0), r"--at 8 0 0 is outside the image, whose size is 8 32 32"),
        (("--at", 0, 0, 0, "--fold", 3), r"There is no .*checkpoint_final.pth. This model has: fold_0"),
        (("--at", 0, 0, 0, "--checkpoint", "best.pth"), "This model has: fold_0/checkpoint_best.pth"),
    ],
)
def test_mistakes_are_reported(train, image, tmp_path, capsys, words, message):
    folder = train("SegResNetNLTrainer", "2d")
    capsys.readouterr()
    assert attend(folder, image, "-o", tmp_path / "maps", *words) == 1
    error = capsys.readouterr().err
    assert error.startswith("pancext attention: error: ")
    assert re.search(message, error)
    assert not (tmp_path / "maps").exists()


@pytest.mark.parametrize("voxel", [(99, 0, 0), (-1, 0, 0)])
def test_a_voxel_outside_is_refused_for_gates_too(train, image, tmp_path, capsys, voxel):
    folder = train("AttentionUNetTrainer", "2d")
    capsys.readouterr()
    assert attend(folder, image, "-o", tmp_path / "maps", "--at", *voxel) == 1
    assert "is outside the image, whose size is 8 32 32" in capsys.readouterr().err
    assert not (tmp_path / "maps").exists()


def truncate(folder):
    file = folder / "fold_0" / "checkpoint_final.pth"
    file.write_bytes(file.read_bytes()[:1000])


def forget_the_trainer(folder):
    file = folder / "fold_0" / "checkpoint_final.pth"
    content = torch.load(file, weights_only=False)
    torch.save({**content, "trainer_name": "SomebodysTrainer"}, file)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, "checkpoint_final.pth is damaged: .* Copy or download it again"),
        (forget_the_trainer, "no trainer SomebodysTrainer here. Install the package that defines it"),
        (
            lambda folder: (folder / "plans.json").write_text("{}", encoding="utf-8"),
            "plans.json: the plan has no 'configurations'",
        ),
        (lambda folder: (folder / "plans.json").write_text("{", encoding="utf-8"), "plans.json is not JSON"),
        (
            lambda folder: (folder / "dataset.json").write_text("no", encoding="utf-8"),
            "dataset.json is not JSON",
        ),
    ],
    ids=["checkpoint", "trainer", "empty plan", "plan", "dataset"],
)
def test_a_damaged_model_is_refused(copy_of, image, tmp_path, capsys, damage, message):
    folder = copy_of("AttentionUNetTrainer", "2d")
    damage(folder)
    capsys.readouterr()
    assert attend(folder, image, "-o", tmp_path / "maps") == 1
    error = capsys.readouterr().err
    assert error.startswith("pancext attention: error: ")
    assert re.search(message, error, re.DOTALL)


def test_a_network_of_another_package_is_allowed_by_name(copy_of, image, tmp_path, capsys):
    folder = copy_of("AttentionUNetTrainer", "3d_fullres")
    plans = json.loads((folder / "plans.json").read_text(encoding="utf-8"))
    plans["configurations"]["3d_fullres"]["architecture"]["network_class_name"] = "mypackage.MyNet"
    (folder / "plans.json").write_text(json.dumps(plans), encoding="utf-8")
    words = ["attention", str(folder), str(image), "-o", str(tmp_path / "maps"), "--device", "cpu"]
    assert main(words) == 1
    message = capsys.readouterr().err
    assert "builds mypackage.MyNet, which is not on the allowlist. If you trust the package" in message
    assert "`--allow NAME` of pancext predict and attention." in message
    assert main([*words, "--allow", "mypackage.MyNet"]) == 0


def test_an_unavailable_device_is_refused(tmp_path, image, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    words = ["attention", str(tmp_path), str(image), "-o", str(tmp_path / "maps")]
    assert main([*words, "--device", "cuda"]) == 1
    assert "PyTorch finds no cuda device here" in capsys.readouterr().err


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_file_names_omit_the_datasets_file_ending(copy_of, image, tmp_path, ending):
    folder = copy_of("AttentionUNetTrainer", "2d")
    file = folder / "dataset.json"
    file.write_text(
        json.dumps({**json.loads(file.read_text(encoding="utf-8")), "file_ending": ending}), encoding="utf-8"
    )
    other = tmp_path / f"pancreas_001_0000{ending}"
    sitk.WriteImage(sitk.ReadImage(str(image)), str(other))
    assert attend(folder, other, "-o", tmp_path / "maps") == 0
    assert (tmp_path / "maps" / "pancreas_001_gate_level2_head1.nii.gz").is_file()


@pytest.mark.parametrize("name", ["PancreasTumorCascadeTrainer", "CDINSTSegTrainer", "nnUNetTrainerFocusing"])
def test_networks_that_localize_write_the_maps_of_their_localization(train, image, tmp_path, name):
    folder = train(name, "3d_fullres")
    assert attend(folder, image, "-o", tmp_path / "maps") == 0
    network = network_of(folder, name, "3d_fullres")
    with torch.no_grad():
        maps = network.attention_maps(normalised(image)[None, None])
    names = network.attention_names
    assert len(names) == len(maps) >= 4
    assert len(list((tmp_path / "maps").iterdir())) == 2 * len(names)
    for map_name, expected in zip(names, maps, strict=True):
        enlarged = functional.interpolate(expected, size=SIZE, mode="trilinear")[0, 0]
        written = sitk.ReadImage(str(tmp_path / "maps" / f"pancreas_001_{map_name}.nii.gz"))
        np.testing.assert_allclose(sitk.GetArrayFromImage(written), enlarged, atol=2e-3)


def test_models_that_have_no_attention_are_refused(train, image, tmp_path, capsys):
    assert attend(train("DLKUNetSTrainer", "2d"), image, "-o", tmp_path / "maps") == 1
    error = capsys.readouterr().err
    assert "There are no attention maps of DLKUNet. Maps exist for" in error
    assert "AttentionUNetTrainer" in error
    assert "PancreasTumorCascadeTrainer" in error


def test_the_second_stage_of_a_cascade_is_refused(train, image, tmp_path, capsys):
    folder = train("AttentionUNetTrainer", "3d_cascade_fullres")
    assert attend(folder, image, "-o", tmp_path / "maps") == 1
    assert "is the second stage of a cascade" in capsys.readouterr().err


def test_a_wrong_number_of_channels_is_refused(train, image, tmp_path, capsys):
    folder = train("AttentionUNetTrainer", "2d")
    assert attend(folder, image, image, "-o", tmp_path / "maps") == 1
    assert "The model takes 1 channel (CT), but you gave 2 images" in capsys.readouterr().err


def test_a_folder_that_is_not_a_model_is_refused(image, tmp_path, capsys):
    assert attend(tmp_path, image, "-o", tmp_path / "maps") == 1
    assert "is not a trained model: it has no plans.json" in capsys.readouterr().err


def test_a_missing_image_is_refused(train, tmp_path, capsys):
    folder = train("AttentionUNetTrainer", "2d")
    assert attend(folder, tmp_path / "nowhere.nii.gz", "-o", tmp_path / "maps") == 1
    assert "There is no image at" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_reported(tmp_path):
    (tmp_path / "out").write_text("a file", encoding="utf-8")
    with pytest.raises(PancextError, match=r"Cannot write the maps to .*out: .*Give another folder with -o"):
        write_maps(
            {"gate": np.zeros((2, 3, 4), np.float32)},
            reference=sitk.Image(4, 3, 2, sitk.sitkInt16),
            folder=tmp_path / "out",
            case="a",
            voxel=None,
        )


def test_maps_of_a_picture_are_two_dimensional_and_equal_the_networks(copy_of, tmp_path):
    folder = copy_of("AttentionUNetTrainer", "2d")
    plans, declared = (
        json.loads((folder / name).read_text(encoding="utf-8")) for name in ("plans.json", "dataset.json")
    )
    plans["configurations"]["2d"]["spacing"] = [1.0, 1.0]  # a picture's: nothing is resampled
    (folder / "plans.json").write_text(
        json.dumps({**plans, "image_reader_writer": "NaturalImage2DIO"}), encoding="utf-8"
    )
    (folder / "dataset.json").write_text(json.dumps({**declared, "file_ending": ".png"}), encoding="utf-8")
    picture = tmp_path / "slice_1_0000.png"
    values = np.random.default_rng(0).integers(1, 200, SIZE[1:]).astype(np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(values), str(picture))
    assert attend(folder, picture, "-o", tmp_path / "maps") == 0
    network = network_of(folder, "AttentionUNetTrainer", "2d")
    with torch.no_grad():
        [expected, *_] = network.attention_maps(normalised(picture)[None, None])
    enlarged = functional.interpolate(expected, size=SIZE[1:], mode="bilinear")[0]
    for head in (1, 2):
        written = sitk.ReadImage(str(tmp_path / "maps" / f"slice_1_gate_level2_head{head}.nii.gz"))
        assert written.GetSize() == SIZE[:0:-1]
        np.testing.assert_allclose(sitk.GetArrayFromImage(written), enlarged[head - 1], atol=2e-3)
        assert (tmp_path / "maps" / f"slice_1_gate_level2_head{head}.png").is_file()
