"""`--check-orientation` on a dataset whose images and labels are both NIfTI."""

import json

import numpy as np
import pytest
from synthetic_msd_task import SyntheticTask, read_voxels, write_volume
from synthetic_nih import synthetic_ct

from nnunet_pancext.dataset_conversion.layouts.msd import convert_msd


@pytest.fixture
def flipped(task: SyntheticTask) -> SyntheticTask:
    """Six cases; the label of 004 is stored upside down, that of 007 lies anywhere."""
    for index, number in enumerate((1, 4, 7, 10, 13, 16)):
        hu, mask = synthetic_ct(index)
        write_volume(task.image(number), hu)
        write_volume(task.label(number), mask)
    _, mask = synthetic_ct(1)
    write_volume(task.label(4), np.ascontiguousarray(mask[::-1]))
    anywhere = np.zeros_like(mask)
    anywhere[1:3, 2:6, 1:5] = 1
    write_volume(task.label(7), anywhere)
    return task


def convert(task, raw_root, **options):
    return convert_msd(task.folder, raw_root=raw_root, show_progress=False, **options)


def test_a_flipped_label_is_corrected_and_an_unclear_one_left_out(flipped, raw_root):
    result = convert(flipped, raw_root, check_orientation=True)
    assert [(p.case_id, p.kind) for p in result.warnings] == [("pancreas_004", "label turned")]
    assert "z flipped" in result.warnings[0].message
    assert [(p.case_id, p.kind) for p in result.left_out] == [("pancreas_007", "orientation unclear")]
    written = result.folder / "labelsTr" / "pancreas_004.nii.gz"
    np.testing.assert_array_equal(read_voxels(written), synthetic_ct(1)[1])
    same = flipped.label(1)
    assert (result.folder / "labelsTr" / same.name).read_bytes() == same.read_bytes()
    report = json.loads(result.report_path.read_text(encoding="utf-8"))
    assert set(report["orientation_of_labels"]) == {f"pancreas_{n:03d}" for n in (1, 4, 10, 13, 16)}
    assert result.file_counts == {"converted": 1, "linked": 11}


def test_without_it_labels_stay_as_they_are(flipped, raw_root):
    result = convert(flipped, raw_root)
    assert not result.warnings + result.left_out
    assert len(result.training) == 6


def test_other_checks_report_what_cannot_be_oriented(flipped, raw_root):
    flipped.label(1).unlink()
    flipped.image(4).write_bytes(flipped.image(4).read_bytes()[:-30])
    write_volume(flipped.label(10), 0 * synthetic_ct(3)[1])
    holed = synthetic_ct(4)[1][::-1].astype(np.float32)
    holed[0, 0, :3] = np.nan
    write_volume(flipped.label(13), np.ascontiguousarray(holed))
    result = convert(flipped, raw_root, check_orientation=True)
    assert {(p.case_id, p.kind) for p in result.left_out} == {
        ("pancreas_001", "label missing"),
        ("pancreas_004", "image unreadable"),
        ("pancreas_007", "orientation unclear"),
        ("pancreas_010", "label empty"),
        ("pancreas_013", "label has NaN or Inf"),
    }
