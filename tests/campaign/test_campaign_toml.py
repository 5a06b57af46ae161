"""`campaign.toml`: written and read again, and refused with what is wrong in it."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from contracts.script_step import GpuScriptStep, ScriptStep, make_campaign

from nnunet_pancext.campaign.definition import FILE, open_campaign, present_versions, read_campaign
from nnunet_pancext.campaign.kinds.train import Train
from nnunet_pancext.errors import PancextError

A = ScriptStep(name="a")
B = ScriptStep(name="b", needs=("a",), code="finish('é')", words=("one" * 20, "two" * 20))
C = GpuScriptStep(name="c", needs=("a", "b"))


def test_a_campaign_is_read_as_it_was_written(folder: Path):
    versions = present_versions()
    written = make_campaign(
        folder, [A, B, C], seed=7, device="cuda", versions=versions, environment={"nnUNet_n_proc_DA": "2"}
    )
    assert read_campaign(folder) == written
    assert set(versions) == {"nnunet_pancext", "nnunetv2", "torch", "python"}


def test_defaults_are_left_out_and_long_lists_have_a_line_for_each_entry(folder: Path):
    make_campaign(folder, [A, B, C])
    text = (folder / FILE).read_text(encoding="utf-8")
    assert 'needs = ["a", "b"]\n' in text
    assert text.startswith("# A campaign of nnU-Net trainings.")
    assert '[[step]]\nname = "a"\nkind = "script"\nneeds = []\n' in text
    assert text.count("code =") == 1
    assert f'words = [\n    "{"one" * 20}",\n    "{"two" * 20}",\n]' in text
    assert "seed" not in text
    assert "[versions]" not in text


def test_entries_are_plain_python_values(folder: Path):
    make_campaign(folder, [A, B], seed=3)
    campaign = read_campaign(folder)
    values = [campaign.seed, campaign.device, *campaign.folders.values(), *vars(campaign.step("b")).values()]
    assert {type(value) for value in values} == {int, str, tuple}
    assert type(campaign.step("b").options()["words"][0]) is str


def test_steps_are_put_behind_those_that_they_need(folder: Path):
    make_campaign(folder, [C, B, A])
    campaign = read_campaign(folder)
    assert [step.name for step in campaign.steps] == ["a", "b", "c"]
    assert campaign.dependents("a") == ["b", "c"]
    assert campaign.dependents("c") == []


def test_an_order_that_holds_is_kept(folder: Path):
    make_campaign(folder, [A, B, C, ScriptStep(name="0")])
    assert [step.name for step in read_campaign(folder).steps] == ["a", "b", "c", "0"]


def test_variables_are_those_of_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("nnUNet_raw", "/elsewhere")
    campaign = make_campaign(folder, [A], seed=5, environment={"nnUNet_compile": "0"})
    open_campaign(folder)
    expected = {"PANCEXT_SEED": "5", "nnUNet_compile": "0", "nnUNet_raw": str(folder / "nnUNet_raw")}
    assert expected.items() <= campaign.variables.items() <= os.environ.items()


def test_a_seed_of_the_shell_is_not_that_of_the_campaign(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PANCEXT_SEED", "7")
    make_campaign(folder, [A])
    open_campaign(folder)
    assert "PANCEXT_SEED" not in os.environ


def test_the_device_of_the_campaign_is_that_of_its_steps(folder: Path):
    step = Train(name="a", dataset="D1_X", configuration="2d", fold="0", trainer="T", device="cuda")
    make_campaign(folder, [step, replace(step, name="b", device="cpu")], device="cuda")
    text = (folder / FILE).read_text(encoding="utf-8")
    (folder / FILE).write_text(text.replace('device = "cuda"', 'device = "mps"'), encoding="utf-8")
    assert [step.device for step in read_campaign(folder).steps] == ["mps", "cpu"]


def test_a_step_that_is_not_there_is_answered_with_those_of_a_like_name(folder: Path):
    names = ("train-007-A-0", "train-007-A-1", "compare-007")
    campaign = make_campaign(folder, [ScriptStep(name=name) for name in names])
    with pytest.raises(
        PancextError, match=r"no step 'train-007-A-2'. Is it train-007-A-[01] or train-007-A-"
    ):
        campaign.step("train-007-A-2")
    with pytest.raises(PancextError, match=r"no step 'x'. `pancext campaign status FOLDER` lists them"):
        campaign.step("x")


WHOLE = """\
format = 1
device = "cpu"
[folders]
nnUNet_raw = "/raw"
nnUNet_preprocessed = "/preprocessed"
nnUNet_results = "/results"
"""
STEP = '[[step]]\nname = "a"\nkind = "script"\n'
LONG = STEP.replace('"a"', '"train-7-A-0"')
TRAIN = (
    STEP.replace("script", "train") + 'dataset = "D1_X"\nconfiguration = "2d"\nfold = "0"\ntrainer = "T"\n'
)
EVALUATE = STEP.replace("script", "evaluate") + 'predictions = "p"\ntruth = "t"\noutput = "out"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("format = 1\ndevice = ", r"campaign\.toml is not TOML: .*line 2.*Correct it"),
        ("format = 1\nformat = 1\n", r"is not TOML: .*format.*already"),
        ("", r"format is None, and this version reads 1"),
        (WHOLE.replace("= 1", "= 2") + STEP, r"format is 2, and this version reads 1"),
        ("speed = 1\n" + WHOLE + STEP, r"speed is not an entry. Entries: format, device, seed"),
        (WHOLE.replace("cpu", "gpu") + STEP, r"device is 'gpu'. Choose from: cuda, cpu, mps"),
        ("seed = -1\n" + WHOLE + STEP, r"seed is -1; it must be a whole number from 0"),
        ("seed = true\n" + WHOLE + STEP, r"seed is True; it must be a whole number"),
        (WHOLE.replace('"/raw"', '"raw"') + STEP, r"no absolute path for nnUNet_raw. Add it"),
        (WHOLE.replace('nnUNet_results = "/results"\n', "") + STEP, r"no absolute path for nnUNet_results"),
        (WHOLE.replace('"/raw"', "3") + STEP, r"folders must be a table of texts, NAME = .VALUE"),
        (WHOLE + "[environment]\nX = 1\n" + STEP, r"environment must be a table of texts"),
        (WHOLE, r"has no \[\[step\]\]. Plan the campaign again"),
        ("step = 3\n" + WHOLE, r"has no \[\[step\]\]"),
        (
            WHOLE + '[[step]]\nkind = "script"\n',
            r"\[\[step\]\] 1: name is None; it must be up to 150 letters",
        ),
        (WHOLE + '[[step]]\nname = "../x"\n', r"name is '\.\./x'; it must be up to 150 letters"),
        (WHOLE + STEP + STEP, r"two steps are called a. Give each a name of its own"),
        (WHOLE + '[[step]]\nname = "a"\n', r"step a: kind is None. Choose from: .*script"),
        (WHOLE + STEP.replace("script", "x"), r"\[\[step\]\] 1, step a: kind is 'x'. Choose from: "),
        (
            WHOLE + STEP + "epochs = 3\n",
            r"step a: epochs is not an entry of kind script. Its entries: name, ",
        ),
        (WHOLE + STEP + "code = 3\n", r"step a: code is 3; it must be a text in .quotes.\."),
        (WHOLE + STEP + 'words = "x"\n', r"step a: words is 'x'; it must be a list, each a text"),
        (WHOLE + STEP + "words = [1]\n", r"step a: words is \[1\]; it must be a list, each a text"),
        (WHOLE + STEP + 'code = "\\u0000"\n', r"step a: code is .*; it must not contain a null character"),
        (WHOLE + TRAIN.replace("D1_X", "../.."), r"step a: dataset is '\.\./\.\.'; it must be a name, not a"),
        (WHOLE + TRAIN.replace("D1_X", ""), r"step a: dataset is ''; it must be a name, not a path or empty"),
        (WHOLE + TRAIN + 'device = "tpu"\n', r"step a: device is 'tpu'. Choose from: cuda, cpu, mps"),
        (
            WHOLE + EVALUATE.replace('"out"', '"x/.."'),
            r"step a: output is 'x/\.\.'; give a folder of its own",
        ),
        (WHOLE + EVALUATE.replace('"out"', '""'), r"step a: output is ''; give a folder of its own"),
        (WHOLE + '[environment]\n"A=B" = "x"\n' + STEP, r"'A=B' = 'x' cannot be an environment variable"),
        (WHOLE + '[environment]\nA = "\\u0000"\n' + STEP, r"cannot be an environment variable. Correct it"),
        (WHOLE + STEP + "name = 'b'\n", r'is not TOML: Key "name" already exists. Correct it'),
        (
            WHOLE + STEP + 'needs = ["b"]\n',
            r"step a: it needs b, which is not a step. Correct `needs`, or add",
        ),
        (
            WHOLE + LONG + STEP + 'needs = ["train-7-A-O"]\n',
            r"needs train-7-A-O, .* Is it train-7-A-0\? Correct",
        ),
        (WHOLE + STEP + 'needs = ["a"]\n', r"need each other in a circle: a -> a"),
    ],
)
def test_what_is_wrong_in_the_file_is_said(folder: Path, text: str, message: str):
    folder.mkdir()
    (folder / FILE).write_text(text, encoding="utf-8")
    with pytest.raises(PancextError, match=message):
        read_campaign(folder)


def test_a_circle_of_steps_is_named(folder: Path):
    make_campaign(folder, [ScriptStep(name="a", needs=("b",)), ScriptStep(name="b", needs=("a",))])
    with pytest.raises(PancextError, match=r"need each other in a circle: (a -> b -> a|b -> a -> b)"):
        read_campaign(folder)


def test_a_folder_without_a_campaign_is_refused(tmp_path: Path):
    with pytest.raises(
        PancextError, match=r"There is no .*campaign\.toml.*`pancext campaign plan` makes one"
    ):
        read_campaign(tmp_path)
    (tmp_path / FILE).mkdir()
    with pytest.raises(PancextError, match=r"Cannot read .*campaign\.toml: Is a directory"):
        read_campaign(tmp_path)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path):
    (tmp_path / FILE).write_bytes('device = "ü"'.encode("latin-1"))
    with pytest.raises(PancextError, match=r"campaign\.toml is not in UTF-8 .*Save it as UTF-8"):
        read_campaign(tmp_path)


def test_a_byte_order_mark_is_no_mistake(folder: Path):
    written = make_campaign(folder, [A])
    (folder / FILE).write_bytes(b"\xef\xbb\xbf" + (folder / FILE).read_bytes().replace(b"\n", b"\r\n"))
    assert read_campaign(folder) == written
