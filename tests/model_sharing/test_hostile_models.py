"""Models that would run code, write elsewhere or fill the disk are refused, and nothing of them is left."""

import io
import json
import os
import pickle
import shutil
import stat
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from contracts import hostile_files as hostile
from contracts.made_preprocessed import use_folders
from contracts.shared_models import Models, rewritten

from nnunet_pancext.cli.main import main

MODEL = "Dataset007_Pancreas/nnUNetTrainer__nnUNetPlans__2d"
CHECKPOINT = "fold_0/checkpoint_final.pth"


@pytest.fixture(scope="module")
def genuine(tmp_path_factory):
    """An export of a stock model."""
    root = tmp_path_factory.mktemp("genuine")
    with pytest.MonkeyPatch.context() as patch:
        use_folders(patch, root)
        models = Models(root)
        models.write()
        return models.export(root / "model.zip")


@pytest.fixture
def refusal(tmp_path, monkeypatch, capsys):
    """Inspect and import an archive; return the reason, after checking that nothing of it ran or is left."""
    results, temporary, canary = tmp_path / "results", tmp_path / "tmp", tmp_path / "canary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(tmp_path)

    def run(archive: Path) -> str:
        assert main(["inspect", str(archive)]) == 1
        inspected = capsys.readouterr()
        assert main(["import", str(archive), "--results", str(results)]) == 1
        error = capsys.readouterr().err
        assert error.startswith("pancext import: error: ")
        assert not list(results.rglob("*"))
        assert not list(temporary.iterdir())
        assert not canary.exists()
        assert not (tmp_path / "evil").exists()
        return inspected.out + error

    return run


class Touch:
    """Runs a command where it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch canary",)


def plan_with(genuine, change):
    plans = json.loads(zipfile.ZipFile(genuine).read(f"{MODEL}/plans.json"))
    change(plans, plans["configurations"]["2d"])
    return {"plans.json": json.dumps(plans).encode()}


def in_architecture(**entries):
    return lambda plans, settings: settings["architecture"].update(entries)


def in_arguments(**entries):
    return lambda plans, settings: settings["architecture"]["arch_kwargs"].update(entries)


def in_settings(**entries):
    return lambda plans, settings: settings.update(entries)


def in_plan(**entries):
    return lambda plans, settings: plans.update(entries)


PLANS = {
    "network": (in_architecture(network_class_name="os.system"), "builds os.system"),
    "network in a package": (in_architecture(network_class_name="evil.Net"), "--allow NAME"),
    "network by a long path": (
        in_architecture(network_class_name="dynamic_network_architectures.architectures.unet.nn.Module"),
        "not on the allowlist",
    ),
    "layer": (in_arguments(conv_op="os.system"), "takes os.system as conv_op"),
    "layer beside the list": (
        in_architecture(_kw_requires_import=["conv_op", "n_stages"]),
        "as n_stages",
    ),
    "list of layers": (in_architecture(_kw_requires_import={"conv_op": 1}), "_kw_requires_import"),
    "layer of PyTorch": (in_arguments(nonlin="torch.hub.load"), "takes torch.hub.load as nonlin"),
    "preprocessor": (in_settings(preprocessor_name="subprocess"), "preprocessor_name subprocess"),
    "resampling": (in_settings(resampling_fn_data="exec"), "resampling_fn_data exec"),
    "normalization": (in_settings(normalization_schemes=["os"]), "normalization_schemes os"),
    "reader": (in_plan(image_reader_writer="os"), "image_reader_writer os"),
    "label manager": (in_plan(label_manager="Popen"), "label_manager Popen"),
    "stages": (in_arguments(n_stages=10**9), "numbers above"),
    "features": (in_arguments(features_per_stage=[8] * 10**5), "lists of more than"),
    "old format": (in_settings(UNet_class_name="os.system", architecture=None), "UNet_class_name"),
    "layers": (in_arguments(n_conv_per_stage=[33, 2, 2]), "more than 32 layers"),
    "layers of an old plan": (in_settings(n_conv_per_stage_encoder=[2, 10**5]), "more than 32 layers"),
    "stages of an old plan": (in_settings(pool_op_kernel_sizes=[[2, 2]] * 10**5), "lists of more than"),
    "patch": (in_settings(patch_size=[10**9, 32]), "numbers above"),
    "spacing": (in_settings(spacing=[10**400, 1]), "numbers above"),
    "spacing that is no number": (in_settings(spacing=[float("nan"), 1]), "numbers above"),
    "deep setting": (
        in_settings(extra=json.loads("[" * 40 + "]" * 40)),
        "nests containers more than 32 deep",
    ),
    "many faults": (
        lambda plans, settings: plans["configurations"].update({f"c{n}": 1 for n in range(10**4)}),
        "the plan has 9980 further problems",
    ),
    "inheritance": (in_settings(inherits_from="2d"), "nnU-Net cannot read"),
    "no configurations": (in_plan(configurations=[]), "no 'configurations'"),
    "another shape": (in_arguments(features_per_stage=[8, 16, 64]), "but the network has"),
}


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_that_names_code(genuine, tmp_path, refusal, name):
    change, reason = PLANS[name]
    archive = rewritten(genuine, tmp_path / "model.zip", plan_with(genuine, change))
    assert reason in refusal(archive)


def checkpoint_with(genuine, change):
    content = torch.load(
        io.BytesIO(zipfile.ZipFile(genuine).read(f"{MODEL}/{CHECKPOINT}")), weights_only=False
    )
    change(content)
    changed = io.BytesIO()
    torch.save(content, changed)
    return {CHECKPOINT: changed.getvalue()}


def own_plan(content):
    settings = content["init_args"]["plans"]["configurations"]["2d"]
    settings["architecture"]["network_class_name"] = "os.system"


def first_weight(content, value):
    weights = content["network_weights"]
    weights[next(iter(weights))] = value


CHECKPOINTS = {
    "object": (lambda c: c.update(logging=Touch()), "os.system|posix.system"),
    "weights": (lambda c: first_weight(c, Touch()), "posix.system"),
    "NaN": (lambda c: first_weight(c, torch.full((8, 1, 3, 3), torch.nan)), "NaN or infinity"),
    "shape": (lambda c: first_weight(c, torch.zeros(8, 1, 3)), "but the network has"),
    "number type": (lambda c: first_weight(c, torch.zeros(8, 1, 3, 3, dtype=torch.int32)), "torch.int32"),
    "text as a weight": (lambda c: first_weight(c, "a"), "not a tensor"),
    "missing weight": (lambda c: c["network_weights"].popitem(), "1 tensors are missing"),
    "further weight": (lambda c: c["network_weights"].update(evil=torch.ones(1)), "no place in the network"),
    "no weights": (lambda c: c.pop("network_weights"), "it has no 'network_weights'"),
    "NaN in half precision": (
        lambda c: first_weight(c, torch.full((8, 1, 3, 3), torch.nan, dtype=torch.float16)),
        "NaN or infinity",
    ),
    "infinity in bfloat16": (
        lambda c: first_weight(c, torch.full((8, 1, 3, 3), -torch.inf, dtype=torch.bfloat16)),
        "NaN or infinity",
    ),
    "weights over and over": (
        lambda c: c["network_weights"].update(dict.fromkeys(map(str, range(20)), torch.zeros(1 << 18))),
        "under more than 16 names each",
    ),
    "weights of two prefixes": (
        lambda c: c["network_weights"].update(
            {f"module.{name}": c["network_weights"][name] for name in list(c["network_weights"])}
        ),
        "both with and without the prefix 'module.'",
    ),
    "weight that steers the terminal": (
        lambda c: c["network_weights"].update({"\x1b[2J": torch.ones(1)}),
        "no place in the network, ?[2J first",
    ),
    "tensor in the plan": (
        lambda c: c["init_args"]["plans"].update(plans_name=torch.ones(2)),
        "'plans' that holds a Tensor",
    ),
    "tensor as labels": (
        lambda c: c["init_args"]["dataset_json"].update(channel_names=torch.ones(2)),
        "'dataset_json' that holds a Tensor",
    ),
    "trainer of very many epochs": (
        lambda c: c.update(trainer_name="nnUNetTrainer_999999999epochs"),
        "no trainer nnUNetTrainer_999999999epochs here",
    ),
    "no trainer": (lambda c: c.pop("trainer_name"), "it has no 'trainer_name'"),
    "no configuration": (lambda c: c["init_args"].pop("configuration"), "no 'configuration' in its"),
    "plan that is a list": (lambda c: c["init_args"].update(plans=[]), "'plans' that is not an object"),
    "trainer by path": (lambda c: c.update(trainer_name="../evil/Trainer"), "no trainer ../evil/Trainer"),
    "trainer that is a module": (lambda c: c.update(trainer_name="os"), "no trainer os here"),
    "trainer that is a function": (lambda c: c.update(trainer_name="join"), "no trainer join here"),
    "trainer that is unknown": (
        lambda c: c.update(trainer_name="MyTrainer"),
        "Install the package that defines it",
    ),
    "axes": (lambda c: c.update(inference_allowed_mirroring_axes=(0, 7)), "numbers from 0 to 2"),
    "plan of its own": (
        lambda c: in_architecture(network_class_name="os.system")(
            0, c["init_args"]["plans"]["configurations"]["2d"]
        ),
        "a plan of its own, in which configuration 2d builds os.system",
    ),
    "configuration": (
        lambda c: c["init_args"].update(configuration="3d"),
        "nnU-Net cannot read configuration",
    ),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_checkpoint_that_is_not_plain_or_does_not_fit(genuine, tmp_path, refusal, name):
    change, reason = CHECKPOINTS[name]
    archive = rewritten(genuine, tmp_path / "model.zip", checkpoint_with(genuine, change))
    text = refusal(archive)
    assert any(words in text for words in reason.split("|"))


def pickled(content):
    return {f"{MODEL}/crossval_results_folds_0/postprocessing.pkl": pickle.dumps(content)}


FILES = {
    "postprocessing": (pickled(([os.system], [{"command": "touch canary"}])), "postprocessing.pkl refers to"),
    "postprocessing that runs": (pickled(Touch()), "postprocessing.pkl refers to"),
    "postprocessing with other arguments": (
        pickled(([], [{"labels_or_regions": "a"}])),
        "does not hold arguments for each function",
    ),
    "postprocessing with a fraction": (
        pickled(([], [{"labels_or_regions": np.float64(1)}])),
        "holds a NumPy value that is not an integer",
    ),
    "damaged postprocessing": (
        {f"{MODEL}/crossval_results_folds_0/postprocessing.pkl": b"\x80"},
        "postprocessing.pkl is damaged",
    ),
    "copy of the plan": (
        {f"{MODEL}/crossval_results_folds_0/plans.json": b'{"configurations": {}, "label_manager": "os"}'},
        "plans.json: ",
    ),
    "no JSON": ({"dataset.json": b"{"}, "dataset.json is not JSON"),
    "deep JSON": ({"dataset.json": b"[" * 10**5}, "dataset.json is not JSON"),
    "no dataset.json": ({"dataset.json": None}, "dataset.json"),
    "labels": ({"dataset.json": b'{"labels": 3}'}, "labels"),
    "deep copy of dataset.json": (
        {f"{MODEL}/crossval_results_folds_0/dataset.json": b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}"},
        "nests containers more than 32 deep",
    ),
    "cut checkpoint": ({CHECKPOINT: b"PK\x03\x04"}, "checkpoint_final.pth is damaged"),
    "no checkpoint": ({CHECKPOINT: None}, "holds no trained model"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_beside_the_checkpoint(genuine, tmp_path, refusal, name):
    changes, reason = FILES[name]
    if reason == "dataset.json is not JSON" or "dataset.json" in changes:
        changes = {f"2d/{key}": value for key, value in changes.items()}
    assert reason in refusal(rewritten(genuine, tmp_path / "model.zip", changes))


MEMBERS = {
    "parent": ("../evil/checkpoint.json", b"", "written outside"),
    "deep parent": (f"{MODEL}/../../../evil/a.json", b"", "written outside"),
    "absolute": ("/evil/a.json", b"", "written outside"),
    "drive": ("C:/evil/a.json", b"", "written outside"),
    "backslash": ("evil\\a.json", b"", "written outside"),
    "control character": (f"{MODEL}/a\nb.json", b"", "not a plain path"),
    "doubled": (f"{MODEL}/plans.json", b"{}", "two files of one name"),
    "doubled in capitals": (f"{MODEL}/PLANS.json", b"{}", "two files of one name"),
    "doubled by another path": (f"{MODEL}/./plans.json", b"{}", "two files of one name"),
    "doubled by slashes": (f"{MODEL}//plans.json", b"{}", "two files of one name"),
    "below a file": (f"{MODEL}/plans.json/a.json", b"{}", "a file where another one needs a folder"),
    "in place of a folder": (f"{MODEL}/fold_0", b"", "a file where another one needs a folder"),
    "device of Windows": (f"{MODEL}/com1.json", b"{}", "not every file system takes"),
    "dot at the end of a folder": (f"{MODEL}/fold_0./debug.json", b"{}", "not every file system takes"),
    "blank at the end": (f"{MODEL}/fold_0 /debug.json", b"{}", "not every file system takes"),
    "long name": (f"{MODEL}/{'a' * 200}.json", b"{}", "not every file system takes"),
    "long path": (f"{'a/' * 600}a.json", b"{}", "not every file system takes"),
    "bomb": (f"{MODEL}/fold_0/debug.json", bytes(5 << 20), "compressed ones"),
}


@pytest.mark.parametrize("name", MEMBERS)
def test_members_that_are_unsafe_to_unpack(genuine, tmp_path, refusal, name):
    member, content, reason = MEMBERS[name]
    archive = rewritten(genuine, tmp_path / "model.zip", {})
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as packed, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about doubled names
        packed.writestr(member, content)
    text = refusal(archive)
    assert reason in text
    assert "Nothing was unpacked" in text


def test_names_that_a_file_system_may_take_for_one(genuine, tmp_path, refusal):
    names = [f"{MODEL}/fold_0/\u00e9.json", f"{MODEL}/fold_0/e\u0301.json"]  # é, composed and decomposed
    archive = rewritten(genuine, tmp_path / "model.zip", dict.fromkeys(names, b"{}"))
    assert "two files of one name" in refusal(archive)


def test_a_directory_that_takes_more_memory_than_the_archive(tmp_path, refusal):
    hostile.CONTAINERS["directory of a million members"][0](tmp_path / "model.zip")
    assert "its directory has" in refusal(tmp_path / "model.zip")


@pytest.fixture
def folder(genuine, tmp_path):
    """The genuine model, unpacked."""
    zipfile.ZipFile(genuine).extractall(tmp_path / "unpacked")
    return tmp_path / "unpacked" / MODEL


@pytest.mark.parametrize("name", [CHECKPOINT, "plans.json", "fold_0/postprocessing.pkl", "fold_0/any"])
def test_pipes_in_a_folder_are_not_opened(folder, refusal, name):
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    assert f"{name} is a pipe, socket or device" in refusal(folder)


def test_a_pipe_as_the_source(tmp_path, refusal):
    os.mkfifo(tmp_path / "checkpoint.pth")
    assert "is neither a file nor a folder" in refusal(tmp_path / "checkpoint.pth")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (CHECKPOINT, "holds no trained model"),
        ("fold_0", "holds no trained model"),
        ("plans.json", "holds no trained model"),
        ("dataset.json", "dataset.json is a link"),
    ],
)
def test_links_in_a_folder_are_not_followed(folder, tmp_path, refusal, name, reason):
    (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    text = refusal(folder)
    assert reason in text
    assert "cp -rL" in text


def test_a_folder_whose_checkpoints_nnunet_would_not_find(folder, refusal):
    (folder / CHECKPOINT).rename(folder / "fold_0" / "checkpoint_epoch10.pth")
    assert "holds no trained model" in refusal(folder)


def test_checkpoints_beyond_number(folder, refusal):
    for fold in range(1, 101):
        shutil.copytree(folder / "fold_0", folder / f"fold_{fold}")
    assert "holds 101 checkpoints, more than 100" in refusal(folder)


def test_two_models_for_one_place(folder, tmp_path, capsys):
    shutil.copytree(folder, tmp_path / "unpacked" / "copy" / MODEL)
    words = ["import", str(tmp_path / "unpacked"), "--results", str(tmp_path / "results")]
    assert main(words) == 1
    assert "holds two models for" in capsys.readouterr().err
    assert not list((tmp_path / "results").rglob("*"))


def test_names_do_not_reach_the_terminal_as_commands(folder, capsys):
    declared = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    declared["channel_names"] = {"0": "CT\n  runs here      no:\x1b[31m"}
    declared["labels"]["\ud800"] = declared["labels"].pop("cancer")
    (folder / "dataset.json").write_text(json.dumps(declared), encoding="utf-8")
    assert main(["inspect", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "channels       CT?  runs here      no:?[31m\n" in shown
    assert "pancreas 1, ? 2" in shown


def test_a_plan_with_names_of_wrong_types_in_a_checkpoint_alone(genuine, tmp_path, capsys):
    def change(content):
        content["init_args"]["dataset_json"]["labels"] = {1: "a", None: "b"}
        content["init_args"]["plans"].update(dataset_name="\ud800\x1b")

    (content,) = checkpoint_with(genuine, change).values()
    (tmp_path / "checkpoint.pth").write_bytes(content)
    assert main(["inspect", str(tmp_path / "checkpoint.pth")]) == 1
    shown = capsys.readouterr().out
    assert shown.split("\n")[2].startswith("??/nnUNetTrainer__")
    assert "declares the label 1 as" in shown


def test_a_link(genuine, tmp_path, refusal):
    archive = rewritten(genuine, tmp_path / "model.zip", {})
    link = zipfile.ZipInfo(f"{MODEL}/fold_1")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive, "a") as packed:
        packed.writestr(link, "/etc")
    assert "a link or device" in refusal(archive)


def test_an_encrypted_member(genuine, tmp_path, refusal):
    archive = rewritten(genuine, tmp_path / "model.zip", {})
    content = bytearray(archive.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    assert "an encrypted file" in refusal(archive)


def test_members_that_share_their_bytes(genuine, tmp_path, refusal):
    archive = rewritten(genuine, tmp_path / "model.zip", {})
    content = bytearray(archive.read_bytes())
    first, last = content.index(b"PK\x01\x02"), content.rindex(b"PK\x01\x02")
    content[last + 42 : last + 46] = content[first + 42 : first + 46]
    archive.write_bytes(content)
    assert "overlap" in refusal(archive)


@pytest.mark.parametrize("part", [0.3, 0.9, 0.999])
def test_a_download_that_was_cut(genuine, tmp_path, refusal, part):
    archive = tmp_path / "model.zip"
    content = genuine.read_bytes()
    archive.write_bytes(content[: int(len(content) * part)])
    assert "is damaged" in refusal(archive)


def test_other_files(tmp_path, refusal):
    (tmp_path / "page.zip").write_text("<html>404</html>", encoding="utf-8")
    assert "page.zip is a web page, such as a login page or an error message" in refusal(
        tmp_path / "page.zip"
    )
    (tmp_path / "model.zip").write_text("404", encoding="utf-8")
    assert "is damaged: File is not a zip file" in refusal(tmp_path / "model.zip")
    assert "does not exist" in refusal(tmp_path / "none.zip")
    (tmp_path / "empty").mkdir()
    assert "holds no trained model" in refusal(tmp_path / "empty")


def test_a_name_that_the_user_trusts(genuine, tmp_path, capsys):
    change = in_arguments(nonlin="torch.nn.modules.activation.RReLU")
    archive = rewritten(genuine, tmp_path / "model.zip", plan_with(genuine, change))
    assert main(["inspect", str(archive)]) == 1
    assert "RReLU as nonlin, which is not on the allowlist" in capsys.readouterr().out
    assert main(["inspect", str(archive), "--allow", "torch.nn.modules.activation.RReLU"]) == 0
