"""Which cases train: nnU-Net's own folds, or a fixed hold-out."""

import json
from pathlib import Path

import pytest
from synthetic_msd_task import SyntheticTask, make_msd_task

from nnunet_pancext.dataset_conversion.layouts.msd import convert_msd
from nnunet_pancext.errors import PancextError
from nnunet_pancext.splits.folds import nnunet_folds
from nnunet_pancext.splits.make import make_split

MSD_LIKE = [f"pancreas_{n:03d}" for n in range(1, 282)]


def convert(task: SyntheticTask, raw_root: Path, **options):
    return convert_msd(task.folder, raw_root=raw_root, show_progress=False, **options)


def test_folds_are_those_published_for_msd(shared_data: Path) -> None:
    published = json.loads((shared_data / "layout_refs/msd_task07_cases.json").read_text(encoding="utf-8"))
    folds = nnunet_folds(published["training_ids"])
    assert folds is not None
    expected = [sorted(ids) for _, ids in sorted(published["nnunet_default_val_folds"].items())]
    assert [sorted(fold["val"]) for fold in folds] == expected


@pytest.mark.parametrize(("name", "training", "test"), [("257/24", 257, 24), ("216/65", 216, 65)])
def test_papers_counts_make_a_disjoint_and_complete_split(name: str, training: int, test: int) -> None:
    split = make_split(MSD_LIKE, name=name)
    assert (len(split.training), len(split.test)) == (training, test)
    assert sorted(split.training + split.test) == MSD_LIKE
    assert split.source.startswith(
        "published by count only, without case ids; drawn by numpy RandomState(12345)"
    )


def test_a_split_depends_on_the_cases_alone() -> None:
    assert make_split(MSD_LIKE[::-1], name="257/24") == make_split(MSD_LIKE, name="257/24")


def test_the_draw_never_changes() -> None:
    # Worked out once with numpy's frozen generator: RandomState(12345).permutation(6) is 5 3 4 0 1 2.
    assert make_split("abcdef", name="4/2").test == ("d", "f")


@pytest.mark.parametrize(
    ("count", "left_out", "message"),
    [
        (
            280,
            1,
            r"257/24 needs 281 usable cases, there are 280 \(1 left out as bad\). .* --split 256/24 fits",
        ),
        (300, 0, r"257/24 needs 281 usable cases, there are 300. With these cases --split 276/24 fits"),
        (20, 0, r"there are 20. With these cases --split nnunet fits"),
    ],
)
def test_other_counts_are_refused_with_what_fits(count: int, left_out: int, message: str) -> None:
    with pytest.raises(PancextError, match=message):
        make_split([f"c{n:03d}" for n in range(count)], name="257/24", left_out=left_out)


def test_test_cases_keep_their_labels(task: SyntheticTask, raw_root: Path) -> None:
    result = convert(task, raw_root, split="4/2")
    assert len(result.training) == 4
    assert len(result.test) == 2
    for folder, suffix, cases in (
        ("imagesTr", "_0000", result.training),
        ("labelsTr", "", result.training),
        ("imagesTs", "_0000", result.test),
        ("labelsTs", "", result.test),
    ):
        names = sorted(path.name for path in (result.folder / folder).iterdir())
        assert names == [f"{case}{suffix}.nii.gz" for case in cases]
    assert json.loads((result.folder / "dataset.json").read_text(encoding="utf-8"))["numTraining"] == 4
    assert any("left out 2 unlabelled test images of the source" in note for note in result.notes)
    assert any("RandomState(12345)" in note for note in result.notes)
    document = json.loads((result.folder / "split.json").read_text(encoding="utf-8"))
    assert document["seed"] == 12345
    assert document["test"] == list(result.test)


def test_split_json_holds_the_folds_nnunet_will_make(task: SyntheticTask, raw_root: Path) -> None:
    from nnunetv2.utilities.crossval_split import generate_crossval_split

    result = convert(task, raw_root)
    document = json.loads((result.folder / "split.json").read_text(encoding="utf-8"))
    assert document["name"] == "nnunet"
    expected = generate_crossval_split(sorted(result.training), seed=12345, n_splits=5)
    assert document["folds"] == [
        {part: [str(c) for c in ids] for part, ids in fold.items()} for fold in expected
    ]


def test_too_few_cases_for_folds_are_mentioned(tmp_path: Path, raw_root: Path) -> None:
    result = convert(make_msd_task(tmp_path / "Task07", cases=4, test_images=0), raw_root)
    document = json.loads((result.folder / "split.json").read_text(encoding="utf-8"))
    assert "folds" not in document
    assert document["folds_note"] == "4 training cases are too few for 5 folds; train with fold 'all'"
    assert any("4 training cases are too few" in note for note in result.notes)


def test_too_few_cases_are_refused_before_they_are_read(task: SyntheticTask, raw_root: Path) -> None:
    for path in (task.folder / "imagesTr").iterdir():
        path.write_text("would be found bad if it were read", encoding="utf-8")
    with pytest.raises(PancextError, match=r"257/24 needs 281 usable cases, there are 6. With these"):
        convert(task, raw_root, split="257/24")


@pytest.fixture
def preprocessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "preprocessed"))
    return tmp_path / "preprocessed" / "Dataset007_Pancreas"


@pytest.fixture
def published_task(tmp_path: Path) -> SyntheticTask:
    """Cases 001, 004, 010, 012, 016, 021 of the real task, one or two of each fold, and one of no list."""
    task = make_msd_task(tmp_path / "Task07_Pancreas")
    for old, new in ((7, 21), (13, 12)):
        task.image(old).rename(task.image(new))
        task.label(old).rename(task.label(new))
    task.edit_json(lambda content: content.pop("training"))
    return task


def test_nnunets_folds_stay_the_published_ones(
    published_task: SyntheticTask, raw_root: Path, preprocessed: Path
) -> None:
    result = convert(published_task, raw_root, split="nnunet-5fold")
    folds = json.loads((preprocessed / "splits_final.json").read_text(encoding="utf-8"))
    numbers = [[case[-3:] for case in fold["val"]] for fold in folds]
    assert numbers == [["021"], ["004"], ["010"], ["001", "016"], ["012"]]
    for fold in folds:
        assert sorted(fold["train"] + fold["val"]) == list(result.training)
    assert len(result.test) == 2  # the task's own test images stay
    (gaps,) = [note for note in result.notes if "is incomplete" in note]
    assert "the list of nnunet-5fold is incomplete: fold 0 lacks pancreas_024, pancreas_035" in gaps
    assert "pancreas_012" not in gaps


def test_strict_refuses_an_incomplete_list(published_task: SyntheticTask, raw_root: Path) -> None:
    published_task.edit_json(
        lambda content: content.update(
            training=[
                {"image": path.name} for path in sorted((published_task.folder / "imagesTr").glob("p*.gz"))
            ]
        )
    )
    with pytest.raises(PancextError, match=r"--strict: the list of nnunet-5fold is incomplete: fold 0 lacks"):
        convert(published_task, raw_root, split="nnunet-5fold", strict=True)
    assert not (raw_root / "Dataset007_Pancreas").exists()
    assert convert(published_task, raw_root, strict=True).training


def test_older_folds_are_kept(published_task: SyntheticTask, raw_root: Path, preprocessed: Path) -> None:
    preprocessed.mkdir(parents=True)
    (preprocessed / "splits_final.json").write_text(
        '[{"train": ["mine"], "val": ["yours"]}]', encoding="utf-8"
    )
    result = convert(published_task, raw_root, split="nnunet-5fold")
    assert "previous folds were kept as splits_final_replaced_1.json" in result.notes
    kept = json.loads((preprocessed / "splits_final_replaced_1.json").read_text(encoding="utf-8"))
    assert kept == [{"train": ["mine"], "val": ["yours"]}]
    assert not any("preprocessed data of an earlier dataset" in note for note in result.notes)
    again = convert(published_task, raw_root, split="nnunet-5fold", overwrite=True)
    assert not any("previous folds were kept" in note for note in again.notes)
    assert len(list(preprocessed.iterdir())) == 2
