"""The documentation of CASE.json names every key, and its example is one."""

import json
import re
from pathlib import Path

import pytest
from made_records import WITH_TUMOUR, record_of, write_case

from nnunet_pancext.prediction.measures import MOST_LESIONS
from nnunet_pancext.prediction.report.cards import MOST_PICTURES

PAGE = Path(__file__).parents[2] / "docs" / "prediction.md"


@pytest.fixture(scope="module")
def text():
    if not PAGE.is_file():
        pytest.skip("the documentation is not part of an installed package")
    return PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    _, label_map = write_case(tmp_path_factory.mktemp("case"), "case", WITH_TUMOUR)
    return record_of("case", label_map, WITH_TUMOUR)


def keys_in_tables(text):
    return set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))


def test_every_key_is_documented(text, record):
    keys = {*record, *record["lesions"][0], *record["windows"]}
    assert keys <= keys_in_tables(text)
    inner = {*record["model"][0], "boxes", "file", *record["seconds"]}
    assert all(f"`{key}`" in text for key in inner)


def test_the_example_has_keys_of_a_record(text, record):
    example = json.loads(re.search(r"```json\n(.*?)```", text, re.DOTALL)[1])
    assert set(example) <= set(record)
    assert set(example["lesions"][0]) == set(record["lesions"][0])
    assert set(example["windows"]) == set(record["windows"])
    assert example["volumes_ml"]["cancer"] == example["lesions"][0]["volume_ml"]


def test_limits_are_those_of_the_program(text):
    assert f"at most {MOST_LESIONS}" in text
    assert f"at most {MOST_PICTURES} pictures" in text
