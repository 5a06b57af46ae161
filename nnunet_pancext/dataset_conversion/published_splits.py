"""Splits whose patients were published, by name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PublishedSplit:
    """Patients by their part. Either `train` with `val` and `test`, or `folds`: who is validated on in each.

    `layout` is the source that it belongs to, as `pancext convert` calls it; `source` where it was published;
    `remark` what a user should know.
    """

    name: str
    layout: str
    source: str
    train: tuple[str, ...] = ()
    val: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    folds: tuple[tuple[str, ...], ...] = ()
    remark: str = ""

    @property
    def patients(self) -> set[str]:
        """All patients that it names."""
        return {*self.train, *self.val, *self.test, *(one for fold in self.folds for one in fold)}


def numbered(ranges: str, pattern: str = "{:04d}") -> tuple[str, ...]:
    """Return the patients of numbers like "1-3 7"."""
    numbers: list[int] = []
    for part in ranges.split():
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return tuple(pattern.format(number) for number in numbers)


ACDC_PATIENT = "patient{:03d}"

PUBLISHED = {
    split.name: split
    for split in (
        PublishedSplit(
            name="transunet-18/12",
            layout="synapse",
            source="TransUNet, github.com/Beckschen/TransUNet at 02ef0010, lists/lists_Synapse; "
            "nnFormer has the same",
            train=numbered("5-7 9-10 21 23-24 26-28 30-31 33-34 37 39-40"),
            test=numbered("1-4 8 22 25 29 32 35-36 38"),
        ),
        PublishedSplit(
            name="monai-24/6",
            layout="synapse",
            source="MONAI, github.com/Project-MONAI/tutorials at b3c6c998, "
            "self_supervised_pretraining/vit_unetr_ssl/datalists/btcv/dataset_0.json",
            train=numbered("1-10 21-34"),
            val=numbered("35-40"),
            test=numbered("61-80"),
        ),
        PublishedSplit(
            name="ssl4mis-70/10/20",
            layout="acdc",
            source="SSL4MIS, github.com/HiLab-git/SSL4MIS at 06df6047, data/ACDC",
            train=numbered(
                "3-6 9-10 12 14-18 20-21 23 25-27 29 31-32 34-38 40-44 46-51 53-58 60-63 67 69-74 76-77 79 "
                "86 88-92 94-100",
                ACDC_PATIENT,
            ),
            val=numbered("2 19 28 30 39 45 78 82 85 87", ACDC_PATIENT),
            test=numbered("1 7-8 11 13 22 24 33 52 59 64-66 68 75 80-81 83-84 93", ACDC_PATIENT),
            remark="another 70/10/20 list circulates: nnformer-70/10/20",
        ),
        PublishedSplit(
            name="nnformer-70/10/20",
            layout="acdc",
            source="nnFormer, github.com/282857341/nnFormer at d48aaeb0, dataset_json/ACDC_dataset.json",
            train=numbered(
                "1 4-7 10-11 13 15-16 18-23 25-41 43-47 50-52 54 56-63 65-66 68-78 80 82-87", ACDC_PATIENT
            ),
            val=numbered("89-91 93-94 96-100", ACDC_PATIENT),
            test=numbered("2-3 8-9 12 14 17 24 42 48-49 53 55 64 67 79 81 88 92 95", ACDC_PATIENT),
            remark="another 70/10/20 list circulates: ssl4mis-70/10/20",
        ),
        PublishedSplit(
            name="mcnet-62/20",
            layout="nih",
            source="MC-Net, github.com/ycwu1997/MC-Net at fee453ca, data/Pancreas",
            train=numbered(
                "2-3 7 10-20 22-24 26-36 38 41-45 47-49 52-53 55-58 61-66 68-72 75-82",
            ),
            test=numbered("1 4-6 8-9 21 25 37 39-40 46 50-51 54 59-60 67 73-74"),
            remark="the list names 0025 (test) and 0070 (train), whose images were withdrawn; "
            "if they repeat 0002 (train), its figures are of a leak",
        ),
        PublishedSplit(
            name="organsegrstn-4fold",
            layout="nih",
            source="OrganSegRSTN, github.com/twni2016/OrganSegRSTN_PyTorch at fb51b919, README.md",
            folds=tuple(numbered(ranges) for ranges in ("1-20", "21-40", "41-61", "62-82")),
        ),
    )
}


def names_for(layout: str) -> list[str]:
    """Return the names of the splits that were published for a source."""
    return [name for name, split in PUBLISHED.items() if split.layout == layout]
