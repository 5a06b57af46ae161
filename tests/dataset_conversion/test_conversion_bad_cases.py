"""Every kind of bad case is named, left out, and stops a strict conversion."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from synthetic_msd_task import SIZE_ZYX, SyntheticTask, read_voxels, write_volume

from nnunet_pancext.dataset_conversion.layouts.msd import convert_msd
from nnunet_pancext.errors import PancextError

BAD = 7  # the case the tests damage


def convert(task: SyntheticTask, raw_root: Path, **options):
    return convert_msd(task.folder, raw_root=raw_root, show_progress=False, **options)


def rewrite_label(
    task: SyntheticTask, change: Callable[[np.ndarray], np.ndarray] = lambda v: v, **geometry
) -> None:
    write_volume(task.label(BAD), change(read_voxels(task.label(BAD))), **geometry)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # in gzip's checksum
    path.write_bytes(content)


def cut_before_compressing(path: Path) -> None:
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-100]))


def with_value(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(voxels: np.ndarray) -> np.ndarray:
        voxels = voxels.astype(np.float32)
        voxels[0, 0, :2] = value
        return voxels

    return change


def image_with(task: SyntheticTask, value: float) -> None:
    write_volume(task.image(BAD), with_value(value)(read_voxels(task.image(BAD))))


def write_4d(path: Path) -> None:
    import SimpleITK as sitk

    volume = sitk.ReadImage(str(path))
    sitk.WriteImage(sitk.JoinSeries([volume, volume]), str(path))


BAD_CASES = {
    "image unreadable": [
        (lambda t: cut(t.image(BAD)), "imagesTr/pancreas_007.nii.gz is cut short"),
        (lambda t: t.image(BAD).write_text("hello", encoding="utf-8"), "is not a gzip file"),
        (lambda t: t.image(BAD).write_bytes(b""), "is empty (0 bytes)"),
        (lambda t: t.image(BAD).write_bytes(gzip.compress(b"x" * 400)), "is not a single-file NIfTI-1 image"),
        (lambda t: t.image(BAD).write_bytes(gzip.compress(b"short")), "holds 5 bytes"),
        (lambda t: flip_a_bit(t.image(BAD)), "is a damaged gzip file (CRC check failed"),
        (lambda t: cut_before_compressing(t.image(BAD)), "100 bytes of voxels are missing"),
    ],
    "label unreadable": [(lambda t: cut(t.label(BAD)), "labelsTr/pancreas_007.nii.gz is cut short")],
    "image not 3D": [(lambda t: write_4d(t.image(BAD)), "has 4 dimensions, size (8, 9, 6, 2)")],
    "size differs": [
        (lambda t: rewrite_label(t, lambda v: v[:-1]), "has size (8, 9, 5), its image (8, 9, 6) voxels"),
    ],
    "spacing differs": [
        (
            lambda t: rewrite_label(t, spacing_mm=(0.8, 0.8, 3)),
            "has spacing (0.8, 0.8, 3.0), its image (0.8, 0.8, 2.5) mm (tolerance 1e-05 relative)",
        ),
    ],
    "direction differs": [
        (
            lambda t: rewrite_label(t, direction=(1, 0, 0, 0, -1, 0, 0, 0, 1)),
            "has direction (1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0), its image (1.0, 0.0",
        ),
    ],
    "origin differs": [
        (
            lambda t: rewrite_label(t, origin_mm=(-170.5, 12.25, 42.5)),
            "has origin (-170.5, 12.25, 42.5), its image (-170.5, 12.25, 40.0) mm (tolerance 0.01 of",
        ),
    ],
    "image has NaN or Inf": [
        (lambda t: image_with(t, np.nan), "has 2 voxels that are NaN or infinite"),
        (lambda t: image_with(t, -np.inf), "has 2 voxels that are NaN or infinite"),
    ],
    "label has NaN or Inf": [(lambda t: rewrite_label(t, with_value(np.nan)), "has 2 voxels that are NaN")],
    "label value not declared": [
        (lambda t: rewrite_label(t, with_value(3)), "holds 3, declared are 0, 1, 2. Correct the label"),
    ],
    "label value not an integer": [(lambda t: rewrite_label(t, with_value(0.5)), "holds 0.5. Resample")],
    "label empty": [(lambda t: rewrite_label(t, np.zeros_like), "has no foreground voxel")],
    "label missing": [(lambda t: t.label(BAD).unlink(), "labelsTr/pancreas_007.nii.gz is not there")],
    "image missing": [(lambda t: t.image(BAD).unlink(), "imagesTr/pancreas_007.nii.gz is not there")],
    "duplicate image": [
        (
            lambda t: shutil.copy(t.image(1), t.image(BAD)),
            "imagesTr/pancreas_007.nii.gz has the same voxels as imagesTr/pancreas_001.nii.gz; "
            "pancreas_001 is kept",
        ),
        (
            lambda t: write_volume(t.image(BAD), read_voxels(t.image(1))),
            "imagesTr/pancreas_007.nii.gz has the same voxels as imagesTr/pancreas_001.nii.gz",
        ),
    ],
    "duplicate id": [
        (
            lambda t: t.image(BAD).with_suffix("").write_bytes(gzip.decompress(t.image(BAD).read_bytes())),
            "imagesTr/pancreas_007.nii exists beside imagesTr/pancreas_007.nii.gz",
        ),
    ],
    "label of another case": [
        (
            lambda t: t.edit_json(lambda c: c["training"][2].update(label="./labelsTr/pancreas_001.nii.gz")),
            "dataset.json pairs imagesTr/pancreas_007.nii.gz with labelsTr/pancreas_001.nii.gz",
        ),
    ],
}
EACH = [
    pytest.param(damage, kind, message, id=f"{kind}-{number}")
    for kind, examples in BAD_CASES.items()
    for number, (damage, message) in enumerate(examples)
]


@pytest.mark.parametrize(("damage", "kind", "message"), EACH)
def test_a_bad_case_is_named_and_left_out(
    task: SyntheticTask, raw_root: Path, capfd: pytest.CaptureFixture[str], damage, kind: str, message: str
) -> None:
    damage(task)
    result = convert(task, raw_root)
    assert [(p.case_id, p.kind) for p in result.left_out if p.kind != "listed but not on disk"] == [
        ("pancreas_007", kind)
    ]
    assert message in "\n".join(p.message for p in result.left_out)
    assert result.training == tuple(f"pancreas_{n:03d}" for n in (1, 4, 10, 13, 16))
    assert not list(result.folder.rglob("pancreas_007*"))
    out, err = capfd.readouterr()
    assert out == err == ""  # the libraries' own complaints are silenced


@pytest.mark.parametrize(("damage", "kind", "message"), EACH)
def test_strict_stops_on_it(task: SyntheticTask, raw_root: Path, damage, kind: str, message: str) -> None:
    damage(task)
    with pytest.raises(PancextError) as error:
        convert(task, raw_root, strict=True)
    assert f"pancreas_007: {kind}: " in str(error.value)
    assert message in str(error.value)
    assert not (raw_root / "Dataset007_Pancreas").exists()


def test_strict_names_all_bad_cases(task: SyntheticTask, raw_root: Path) -> None:
    cut(task.image(1))
    task.label(4).unlink()
    with pytest.raises(
        PancextError, match=r"(?s)2 problems.*pancreas_001: image unr.*pancreas_004: label mis"
    ):
        convert(task, raw_root, strict=True)


def test_several_problems_of_one_case_are_all_named(task: SyntheticTask, raw_root: Path) -> None:
    rewrite_label(task, with_value(9), spacing_mm=(1, 1, 1), origin_mm=(0, 0, 0))
    kinds = [problem.kind for problem in convert(task, raw_root).left_out]
    assert kinds == ["label value not declared", "origin differs", "spacing differs"]


def test_rounding_in_the_header_is_no_difference(task: SyntheticTask, raw_root: Path) -> None:
    rewrite_label(task, spacing_mm=(0.800001, 0.8, 2.5), origin_mm=(-170.502, 12.25, 40.001))
    assert convert(task, raw_root).left_out == ()


def test_float_labels_with_whole_numbers_are_kept_as_they_are(task: SyntheticTask, raw_root: Path) -> None:
    rewrite_label(task, lambda v: v.astype(np.float64))
    result = convert(task, raw_root)
    assert "pancreas_007" in result.training
    assert result.file_counts == {"linked": 14}


def test_a_bad_test_image_is_left_out(task: SyntheticTask, raw_root: Path) -> None:
    cut(task.folder / "imagesTs/pancreas_002.nii.gz")
    result = convert(task, raw_root)
    assert result.test == ("pancreas_005",)
    assert result.left_out[0].message.startswith("imagesTs/pancreas_002.nii.gz is cut short")


def test_a_test_image_that_is_also_trained_on_is_left_out(task: SyntheticTask, raw_root: Path) -> None:
    shutil.copy(task.image(4), task.folder / "imagesTs/pancreas_002.nii.gz")
    result = convert(task, raw_root)
    assert result.test == ("pancreas_005",)
    assert "imagesTs/pancreas_002.nii.gz has the same voxels as imagesTr/pancreas_004" in str(
        result.left_out[0]
    )


def test_a_test_image_with_the_id_of_a_training_case_is_left_out(task: SyntheticTask, raw_root: Path) -> None:
    write_volume(task.folder / "imagesTs/pancreas_004.nii.gz", np.ones(SIZE_ZYX, np.int16))
    result = convert(task, raw_root)
    assert "pancreas_004" in result.training
    assert result.test == ("pancreas_002", "pancreas_005")
    assert ("imagesTs/pancreas_004", "duplicate id") in [(p.case_id, p.kind) for p in result.left_out]


class TestListAgainstDisk:
    """dataset.json names cases, the disk has them: both are compared."""

    def test_listed_but_missing(self, task: SyntheticTask, raw_root: Path) -> None:
        task.image(BAD).unlink()
        task.label(BAD).unlink()
        result = convert(task, raw_root)
        assert [str(problem) for problem in result.left_out] == [
            "pancreas_007: listed but not on disk: dataset.json lists imagesTr/pancreas_007.nii.gz, "
            "which does not exist. Extract the whole archive."
        ]

    def test_on_disk_but_not_listed_is_converted_with_a_warning(
        self, task: SyntheticTask, raw_root: Path
    ) -> None:
        task.edit_json(lambda content: content["training"].pop(2))
        result = convert(task, raw_root)
        assert "pancreas_007" in result.training
        assert [(p.case_id, p.kind) for p in result.warnings] == [("pancreas_007", "on disk but not listed")]

    def test_listed_twice_is_converted_once_with_a_warning(self, task: SyntheticTask, raw_root: Path) -> None:
        task.edit_json(lambda content: content["training"].append(content["training"][2]))
        result = convert(task, raw_root)
        assert len(result.training) == 6
        assert "lists imagesTr/pancreas_007.nii.gz 2 times" in result.warnings[0].message

    def test_test_images_may_be_dicts(self, task: SyntheticTask, raw_root: Path) -> None:
        task.edit_json(lambda content: content.update(test=[{"image": path} for path in content["test"]]))
        assert convert(task, raw_root).warnings == ()

    def test_any_of_them_stops_a_strict_conversion(self, task: SyntheticTask, raw_root: Path) -> None:
        task.edit_json(lambda content: content["training"].pop(2))
        with pytest.raises(PancextError, match="pancreas_007: on disk but not listed"):
            convert(task, raw_root, strict=True)
