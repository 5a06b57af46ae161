"""Folds of a finished raw dataset: those that nnU-Net uses, and writing others where it reads them."""

from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.nnunet_files.raw_dataset import RawDataset
from nnunet_pancext.nnunet_files.splits_final import (
    Folds,
    backup_of,
    folds_file,
    parse_folds,
    place_folds,
    read_folds,
)
from nnunet_pancext.splits.folds import nnunet_folds, published_folds
from nnunet_pancext.splits.published import PUBLISHED


def apply_split(dataset: RawDataset, *, name: str | None, overwrite: bool) -> tuple[Path, list[str]]:
    """Write folds where nnU-Net reads them; return that file, and remarks.

    The folds are those of the dataset's split.json, or of the published split called `name`: if it has no
    validation patients, its test patients are validated on.

    Raises:
        PancextError: different folds exist and not `overwrite`; the split does not exist or does not fit.
    """
    target = folds_file(dataset.folder.name)
    if target is None:
        raise PancextError(
            "nnUNet_preprocessed is not set, so there is no place for the folds. Set it, for example "
            "export nnUNet_preprocessed=$HOME/nnunet/preprocessed"
        )
    gaps = ""
    if name:
        if name not in PUBLISHED:
            raise PancextError(f"no split {name!r}. There are: {', '.join(PUBLISHED)}.")
        of_training = {case: dataset.patients[case] for case in dataset.training}
        folds = published_folds(PUBLISHED[name], of_training, may_validate_on_test=True)
        gaps = PUBLISHED[name].gaps(set(dataset.patients.values()))
    else:
        split_file = dataset.folder / "split.json"
        if "folds" not in dataset.split:
            raise PancextError(
                f"{split_file} has no folds. Name a split with --split; `pancext splits list` shows them."
            )
        folds = parse_folds(dataset.split["folds"], source=split_file)
    backup = backup_of(target, folds=folds)
    if backup and not overwrite:
        raise PancextError(f"{target} holds other folds. Replace them with --overwrite.")
    place_folds(folds, dataset=dataset.folder.name)
    remarks = [f"previous folds were kept as {backup.name}"] if backup else []
    return target, [*remarks, gaps] if gaps else remarks


def current_folds(dataset: RawDataset) -> Folds:
    """Return the folds that nnU-Net uses for the dataset: those of its file, or its default ones."""
    file = folds_file(dataset.folder.name)
    if file and file.is_file():
        return read_folds(file)
    return nnunet_folds(dataset.training) or []
