"""Each label has the code that others give its structure, or is refused with what to write."""

import json
import re
from pathlib import Path

import pytest
from pydicom.sr.codedict import codes as published

from nnunet_pancext.dataset_conversion.layouts import acdc, synapse
from nnunet_pancext.dicom_output.codes import read_codes
from nnunet_pancext.dicom_output.snomed import BUILT_IN, built_in_code
from nnunet_pancext.errors import PancextError

# The keyword under which pydicom has a code, from DICOM's own tables (PS3.16).
KEYWORDS = {
    "pancreas": "Pancreas",
    "pancreatic duct": "PancreaticDuct",
    "common bile duct": "CommonBileDuct",
    "spleen": "Spleen",
    "kidney": "Kidney",
    "gallbladder": "Gallbladder",
    "oesophagus": "Esophagus",
    "liver": "Liver",
    "stomach": "Stomach",
    "duodenum": "Duodenum",
    "colon": "Colon",
    "aorta": "Aorta",
    "inferior vena cava": "InferiorVenaCava",
    "adrenal gland": "AdrenalGland",
    "arteries": "Artery",
    "veins": "Vein",
    "right ventricle": "RightVentricle",
    "left ventricle": "LeftVentricle",
    "tumour": "MalignantNeoplasmPrimary",
}
# Not in DICOM's tables, but in TotalSegmentator's.
ELSEWHERE = {"myocardium": "74281007", "portal and splenic vein": "110765007"}
PANCREAS = {
    "category": ["123037004", "SCT", "Anatomical Structure"],
    "type": ["15776009", "SCT", "Pancreas"],
}


def read(tmp_path, content, *, labels=None, **options):
    """Read codes from a file with `content`, by default for the one label 'organ'."""
    path = tmp_path / "codes.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return read_codes(labels or {"background": 0, "organ": 1}, dataset_json={}, file=path, **options)


@pytest.mark.parametrize(("name", "keyword"), KEYWORDS.items())
def test_type_is_that_of_dicoms_own_tables(name, keyword):
    code, expected = built_in_code(name).type, getattr(published.SCT, keyword)
    assert (code.value, code.scheme_designator) == (expected.value, "SCT")


def test_every_built_in_type_is_checked():
    checked = {getattr(published.SCT, keyword).value for keyword in KEYWORDS.values()}
    assert {code.type.value for code in BUILT_IN.values()} == checked | set(ELSEWHERE.values())


@pytest.mark.parametrize(("name", "value"), ELSEWHERE.items())
def test_type_is_that_of_other_programs_where_dicom_has_none(name, value):
    assert built_in_code(name).type.value == value


def test_categories_sides_and_region_are_those_of_dicoms_own_tables():
    lesion = built_in_code("pancreatic lesion")
    assert lesion.category.value == published.SCT.MorphologicallyAbnormalStructure.value
    assert lesion.region.value == published.SCT.Pancreas.value
    assert built_in_code("pancreas").category.value == published.SCT.BodyStructure.value
    assert built_in_code("left kidney").modifier.value == published.SCT.Left.value
    assert built_in_code("right adrenal gland").modifier.value == published.SCT.Right.value


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("Pancreas", "pancreas"),
        ("kidney_left", "left kidney"),
        ("Adrenal Gland-Right", "right adrenal gland"),
        ("esophagus", "oesophagus"),
        ("pancreas tumor", "cancer"),
        ("PDAC lesion", "tumour"),
        ("portal_vein_and_splenic_vein", "portal and splenic vein"),
        ("LV", "left ventricle"),
    ],
)
def test_names_may_be_written_in_several_ways(name, same):
    assert built_in_code(name) == built_in_code(same) != None  # noqa: E711


@pytest.mark.parametrize(
    "name", ["left", "pancreas head", "kidney tumour", "liver lesion", "metastasis", "cyst"]
)
def test_other_structures_have_no_code(name):
    assert built_in_code(name) is None


@pytest.mark.parametrize(
    "names", [synapse.ORGANS, synapse.EIGHT, tuple(acdc.LABELS)[1:], ("pancreas", "cancer")]
)
def test_every_label_of_a_converted_dataset_has_a_code(names):
    labels = {name: value for value, name in enumerate(("background", *names))}
    assert tuple(read_codes(labels, dataset_json={})) == names


def test_background_and_ignore_are_no_segments():
    labels = {"background": 0, "cancer": 2, "pancreas": [1, 2], "ignore": 3}
    assert list(read_codes(labels, dataset_json={})) == ["cancer", "pancreas"]


def test_file_comes_before_dataset_json_and_both_before_the_table(tmp_path):
    labels = {"background": 0, "pancreas": 1, "x": 2, "y": 3}
    declared = {"segment_codes": {"pancreas": "liver", "x": "spleen"}}
    path = tmp_path / "codes.json"
    path.write_text(json.dumps({"x": "aorta", "y": PANCREAS}), encoding="utf-8")
    codes = read_codes(labels, dataset_json=declared, file=path)
    assert [code.type.meaning for code in codes.values()] == ["Liver", "Aorta", "Pancreas"]


def test_entry_may_hold_side_region_and_colour(tmp_path):
    entry = {
        "category": ["49755003", "SCT", "Morphologically Altered Structure"],
        "type": ["cyst-1", "99HOSPITAL", "Pseudocyst"],
        "modifier": ["7771000", "SCT", "Left"],
        "region": ["15776009", "SCT", "Pancreas"],
        "colour": "#FF8ad8",
    }
    code = read(tmp_path, {"organ": entry})["organ"]
    assert tuple(code.type[:3]) == ("cyst-1", "99HOSPITAL", "Pseudocyst")
    assert (code.modifier.meaning, code.region.meaning, code.colour) == ("Left", "Pancreas", "#ff8ad8")


def test_label_without_code_is_refused_with_a_file_to_fill_in():
    with pytest.raises(PancextError, match="none is known for the label\\(s\\) 'Zyste'") as refusal:
        read_codes({"background": 0, "pancreas": 1, "Zyste": 2}, dataset_json={})
    template = re.search(r"^\{$.*^\}$", str(refusal.value), re.DOTALL | re.MULTILINE)
    assert json.loads(template.group())["Zyste"]["category"] == PANCREAS["category"]


def test_template_once_filled_in_is_read(tmp_path):
    with pytest.raises(PancextError) as refusal:
        read_codes({"background": 0, "organ": 1}, dataset_json={})
    template = re.search(r"^\{$.*^\}$", str(refusal.value), re.DOTALL | re.MULTILINE).group()
    with pytest.raises(PancextError, match='"VALUE" is not a SNOMED CT code, which is a number'):
        read(tmp_path, template)
    filled = template.replace("VALUE", "15776009").replace("MEANING", "Pancreas")
    assert read(tmp_path, filled)["organ"].type.value == "15776009"


def test_long_list_of_labels_without_code_is_cut():
    labels = {"background": 0, **{f"part {number}": number for number in range(1, 8)}}
    with pytest.raises(PancextError, match="'part 4' and 3 more"):
        read_codes(labels, dataset_json={})


def test_private_codes_are_an_option():
    labels = {"background": 0, "pancreas": 1, "Zyste": 2, "head and tail": [3, 4]}
    codes = read_codes(labels, dataset_json={}, allow_private=True)
    assert codes["pancreas"].type.scheme_designator == "SCT"
    assert tuple(codes["Zyste"].type[:3]) == ("LABEL_2", "99PANCEXT", "Zyste")
    assert codes["head and tail"].type.value == "LABEL_3_4"


def entry(**changed):
    return {"organ": {**PANCREAS, **changed}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"codes\.json is not JSON"),
        ("[1]", r"codes\.json is not an object"),
        ('{"organ": "pancreas", "organ": "liver"}', '"organ" twice. Remove'),
        ({"liver": "liver"}, 'code for "liver", a label that the model does not have. It has "organ"'),
        ({"organ": 7}, 'for the label "organ": expected an object, got 7. Write it as in {"pancreas"'),
        ({"organ": "gland"}, 'no structure named "gland" is known. Write its code out'),
        ({"organ": {}}, '"category" and "type" missing'),
        ({"organ": {"type": PANCREAS["type"]}}, '"organ": "category" missing'),
        (entry(color="#ffffff"), 'unknown key "color". Known are "category", "type"'),
        (entry(colour="red"), '"colour" is "red"; expected one like "#35d0ff"'),
        (entry(type="15776009"), '"type": expected value, scheme and meaning of a code, got "15776009"'),
        (entry(type=[15776009, "SCT", "Pancreas"]), "expected value, scheme and meaning"),
        (entry(type=["15776009", "SCT", " "]), "expected value, scheme and meaning"),
        (entry(region=["15776009", "SNOMED", "Pancreas"]), '"region": unknown coding scheme "SNOMED".*99'),
        (entry(type=["T-65000", "SCT", "Pancreas"]), '"T-65000" is not a SNOMED CT code'),
        (entry(type=["15776009", "SCT", "P" * 65]), "not valid in DICOM: at most 64 characters"),
        (entry(type=["LONG" * 5, "99HOSPITAL", "Pancreas"]), "not valid in DICOM: at most 16 characters"),
        (entry(type=["1\\2", "99HOSPITAL", "Pancreas"]), "without backslash"),
    ],
)
def test_malformed_file_is_refused_with_what_to_write(tmp_path, content, message):
    with pytest.raises(PancextError, match=message):
        read(tmp_path, content)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(PancextError, match=r"Cannot read .*none\.json: No such file"):
        read_codes({"organ": 1}, dataset_json={}, file=tmp_path / "none.json")


@pytest.mark.parametrize("declared", [["pancreas"], "pancreas", None])
def test_malformed_entry_of_dataset_json_is_refused(declared):
    with pytest.raises(
        PancextError, match=r'"segment_codes" in dataset\.json is .*; expected codes by label'
    ):
        read_codes({"organ": 1}, dataset_json={"segment_codes": declared})


def test_documented_codes_are_those_built_in():
    text = (Path(__file__).parents[2] / "docs" / "dicom.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+) \| (.+) \| (\d+) \|$", text, re.MULTILINE)
    assert {code for _, _, code in rows} == {code.type.value for code in BUILT_IN.values()}
    for names, _, code in rows:
        for name in names.split(";")[0].split(", "):
            assert built_in_code(name).type.value == code


def test_documented_file_is_read(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "dicom.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    codes = read(tmp_path, example, labels={"background": 0, "cyst": 1, "Bauchspeicheldrüse": 2})
    assert [code.type.meaning for code in codes.values()] == ["Cyst", "Pancreas"]
