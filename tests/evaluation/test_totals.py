"""Totals over all cases, worked by hand and equal to nnU-Net's own summary."""

import math
import multiprocessing.dummy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
from nnunetv2.evaluation import evaluate_predictions
from nnunetv2.evaluation.evaluate_predictions import compute_metrics_on_folder, load_summary_json
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.utilities.label_handling.label_handling import LabelManager

from nnunet_pancext.evaluation.folder import evaluate
from nnunet_pancext.evaluation.probabilities import voxel_histogram
from nnunet_pancext.evaluation.scores import CaseScores, LabelScores
from nnunet_pancext.evaluation.summary import write_summary
from nnunet_pancext.evaluation.totals import total


def case(name, **scores):
    defaults = {"lesions": 0, "lesions_found": 0, "false_positives": 0, "slices": 0}
    return CaseScores(case=name, labels={"tumour": LabelScores(**{**defaults, **scores})})


def test_slices_of_all_cases_have_equal_weight():
    totals = total(
        [case("a", slices=3, slice_dice=0.5), case("b", slices=1, slice_dice=0.9), case("c")], "tumour"
    )
    assert totals.slices == 4
    assert totals.per_slice["slice_dice"] == pytest.approx((3 * 0.5 + 0.9) / 4)


def test_lesions_of_all_cases_have_equal_weight():
    totals = total(
        [
            case("a", lesions=3, lesions_found=1, false_positives=2),
            case("b", lesions=1, lesions_found=1),
            case("c", false_positives=1),
        ],
        "tumour",
    )
    assert totals.lesion_recall == pytest.approx(2 / 4)
    assert totals.false_positives_per_scan == pytest.approx(1)


def test_without_lesions_or_slices_they_are_undefined():
    totals = total([case("a")], "tumour")
    assert math.isnan(totals.lesion_recall)
    assert math.isnan(totals.per_slice["slice_dice"])


def ranked(name, patient, probability, slices):
    scored = case(name, probability=probability, slices=slices)
    nothing = voxel_histogram(np.zeros(0), np.zeros(0, dtype=bool))
    return replace(scored, patient=patient, histograms={"tumour": nothing})


def test_patients_are_ranked_by_the_highest_of_their_cases():
    """By case two of four pairs are ranked correctly; by patient only 0.9 is compared with 0.5."""
    cases = [
        ranked("a1", "a", 0.9, 1),
        ranked("a2", "a", 0.2, 1),
        ranked("b1", "b", 0.5, 0),
        ranked("b2", "b", 0.3, 0),
    ]
    assert total(cases, "tumour").patient_auroc == 1
    alone = [replace(case, patient=None) for case in cases]
    assert total(alone, "tumour").patient_auroc == pytest.approx(2 / 4)


def test_a_patient_has_the_target_that_one_case_has():
    cases = [ranked("a1", "a", math.nan, 1), ranked("a2", "a", 0.6, 0), ranked("b", None, 0.4, 0)]
    assert total(cases, "tumour").patient_auroc == 1
    assert total(cases, "tumour").patient_average_precision == 1


@pytest.fixture
def folders(tmp_path):
    """Four random cases of two labels and an ignored one; one without tumour, one without a label at all."""
    rng = np.random.default_rng(0)
    for folder in ("predictions", "truths"):
        (tmp_path / folder).mkdir()
        for number in range(4):
            label_map = rng.integers(0, (3, 3, 2, 1)[number], size=(5, 6, 7)).astype(np.uint8)
            if folder == "truths" and number == 0:
                label_map[0, :2] = 3
            sitk.WriteImage(
                sitk.GetImageFromArray(label_map), str(tmp_path / folder / f"case{number}.nii.gz")
            )
    return tmp_path / "predictions", tmp_path / "truths"


@pytest.mark.parametrize(
    ("labels", "keys"),
    [
        ({"background": 0, "pancreas": 1, "tumour": 2, "ignore": 3}, [1, 2]),
        ({"background": 0, "whole": [1, 2], "tumour": 2, "ignore": 3}, [(1, 2), 2]),
        ({"background": 0, "whole": [1, 2], "tumour": [2], "ignore": 3}, [(1, 2), (2,)]),
        ({"background": 0, "pancreas": 1, "tumour": [2], "ignore": 3}, [1, 2]),
    ],
    ids=["labels", "regions", "region of one value", "label in a list"],
)
@pytest.mark.filterwarnings("ignore:Mean of empty slice")
def test_summary_equals_nnunets(tmp_path, folders, monkeypatch, labels, keys):
    threads = SimpleNamespace(get_context=lambda _: multiprocessing.dummy)  # a process would import nnU-Net
    monkeypatch.setattr(evaluate_predictions, "multiprocessing", threads)
    predictions, truths = folders
    summary = tmp_path / "summary.json"
    write_summary(evaluate(predictions, truths, labels=labels), summary)
    expected_summary = tmp_path / "nnunet.json"
    compute_metrics_on_folder(
        str(truths),
        str(predictions),
        str(expected_summary),
        SimpleITKIO(),
        ".nii.gz",
        keys,
        3,
        num_processes=1,
    )
    manager = LabelManager(labels, None if keys[0] == 1 else [1, 2])
    assert keys == (manager.foreground_regions if manager.has_regions else manager.foreground_labels)
    read = load_summary_json(str(summary))
    added = read.pop("pancext")
    expected = load_summary_json(str(expected_summary))
    assert read.keys() == expected.keys()
    assert comparable(read) == comparable(expected)
    assert added["cases"] == 4
    assert set(added["labels"]) == (
        {"foreground", "pancreas", "tumour"} if keys == [1, 2] else {"whole", "tumour"}
    )


def comparable(content):
    """Content that can be compared: numbers rounded, nan equal to nan, dictionaries in order."""
    if isinstance(content, dict):
        return {
            str(key): comparable(value)
            for key, value in sorted(content.items(), key=lambda item: str(item[0]))
        }
    if isinstance(content, list):
        return [comparable(value) for value in content]
    return f"{content:.12g}" if isinstance(content, (int, float)) else content
