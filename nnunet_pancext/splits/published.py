"""Splits with published lists of patients, by name."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PublishedSplit:
    """Patients by part: either `train` with `val` and `test`, or `folds`, the validation patients of each.

    `layout` is the dataset, as `pancext convert` calls it; `source` where it was published; `remark` a note
    for users.
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
        """All patients of all parts."""
        return {patient for part in self.parts.values() for patient in part}

    @property
    def parts(self) -> dict[str, tuple[str, ...]]:
        """The lists that are not empty, by name."""
        named = {"train": self.train, "val": self.val, "test": self.test}
        named |= {f"fold {number}": fold for number, fold in enumerate(self.folds)}
        return {name: patients for name, patients in named.items() if patients}

    def gaps(self, present: Collection[str]) -> str:
        """Return which of its patients are not `present`, as a message; empty where all are."""
        gaps = [
            f"{part} lacks {', '.join(missing)}"
            for part, patients in self.parts.items()
            if (missing := [patient for patient in patients if patient not in present])
        ]
        return f"the list of {self.name} is incomplete: {'; '.join(gaps)}" if gaps else ""


def numbered(ranges: str, pattern: str = "{:04d}") -> tuple[str, ...]:
    """Return the patients of number ranges like "1-3 7"."""
    numbers: list[int] = []
    for part in ranges.split():
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return tuple(pattern.format(number) for number in numbers)


ACDC_PATIENT = "patient{:03d}"
MSD_CASE = "pancreas_{:03d}"

PUBLISHED = {
    split.name: split
    for split in (
        PublishedSplit(
            name="nnunet-5fold",
            layout="msd",
            source="nnU-Net's five default folds of all 281 cases, as in the results of "
            "github.com/automl/AutoNNUnet at 7c9d676f",
            folds=tuple(
                numbered(ranges, MSD_CASE)
                for ranges in (
                    "21 24 35 40 42 56 67 75 86 89 92 94-95 98 109-110 114 119 138 145 148 169-170 172 175 "
                    "180 191 193 212 215 222 235 241-242 244 246-247 264-267 275 279 287 301 323 336 344 351 "
                    "354 372 377 387 391-392 410 412",
                    "4 19 29 32 37 41 50-51 58 64 74 78 81 87-88 96 107 158 160 186 198 201 204 229-230 255 "
                    "262 270 274 290 299 303-304 308 312 316 318 320 326 328 333 343 348 350 362 366 369 378 "
                    "388 400-401 406 409 413 416 421",
                    "5 10 18 28 48-49 52 91 102 113 126-127 137 140 149 157 159 165-167 178 183 187 211 213 "
                    "218 224-225 228 236 249 256 259 261 269 278 280 283 286 291-292 294-295 298 309-310 313 "
                    "327 331 342 357-358 367 379 386 405",
                    "1 6 15-16 43 45 61 70 77 83-84 99 101 103-104 106 111 120 124 131 173 194 197 203 207 "
                    "210 226 239 243 253 258 276-277 284-285 289 293 296 300 302 305 315 329-330 334 339 346 "
                    "356 361 370 374 385 393 395 398 415",
                    "12 25 46 55 66 69 71 80 93 100 105 117 122 125 129-130 135 147 155 179 181-182 196 "
                    "199-200 209 214 217 219 227 231 234 254 268 297 311 321 325 345 347 355 360 364-365 "
                    "375-376 380 382 389 399 402 404 411 414 418-419",
                )
            ),
            remark="the same as nnU-Net's default folds, which change as soon as a case is left out",
        ),
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
            train=numbered("2-3 7 10-20 22-24 26-36 38 41-45 47-49 52-53 55-58 61-66 68-72 75-82"),
            test=numbered("1 4-6 8-9 21 25 37 39-40 46 50-51 54 59-60 67 73-74"),
            remark="the list names 0025 (test) and 0070 (train), whose images were withdrawn; "
            "if they repeat 0002 (train), its published results suffer from leakage",
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
    """Return the names of the splits published for a layout."""
    return [name for name, split in PUBLISHED.items() if split.layout == layout]
