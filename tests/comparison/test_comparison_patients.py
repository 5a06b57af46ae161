"""The patient of each case."""

import json

import pytest
from made_results import DATASET

from nnunet_pancext.comparison.results import find_patients
from nnunet_pancext.errors import PancextError


def test_frames_of_one_name_are_of_one_patient_and_others_of_their_own():
    found = find_patients("Dataset999_None", ["patient001_frame01", "patient001_frame12", "pancreas_001"])
    assert found == ("patient001", "patient001", "pancreas_001")


def test_a_converted_dataset_records_its_patients(tree):
    raw = tree.root / "nnUNet_raw" / DATASET
    raw.mkdir()
    (raw / "split.json").write_text(
        json.dumps({"patients": {"pancreas_000": "p7", "pancreas_001": "p7"}}), encoding="utf-8"
    )
    found = find_patients(DATASET, ["pancreas_000", "pancreas_001", "pancreas_002"])
    assert found == ("p7", "p7", "pancreas_002")


def test_the_users_expression_goes_before(tree):
    found = find_patients(DATASET, ["a_1_x", "a_2_x", "b_1_x"], patient_regex="^([a-z])_")
    assert found == ("a", "a", "b")


@pytest.mark.parametrize("expression", ["(", "(z)", "a", "(z*)"])
def test_an_expression_without_a_patient_is_refused(expression):
    with pytest.raises(PancextError, match="--patient-regex"):
        find_patients(DATASET, ["a_1"], patient_regex=expression)
