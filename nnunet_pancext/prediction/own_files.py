"""Keeps a prediction from replacing images or files that it did not write."""

from collections.abc import Callable, Mapping, Sequence
from os.path import basename, dirname, realpath
from pathlib import Path
from typing import Any

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import shown_name
from nnunet_pancext.prediction import outputs
from nnunet_pancext.prediction.cases import Case
from nnunet_pancext.prediction.record import read_record


def require_own_files(
    cases: Sequence[Case],
    *,
    out: Path,
    records: Mapping[str, Path],
    results_of: Callable[[Case], Sequence[Path]],
    documents: Sequence[tuple[str, Any]],
) -> None:
    """Refuse results that would replace an image, a file beside it, or the results of another case.

    `records` has the file of each case's record, `results_of` gives every file written of a case, and
    `documents` are those written for all cases, with their content.

    Raises:
        PancextError: they would.
    """
    if outputs.belongs_to_nnunet(out):
        raise PancextError(
            f"{out} is a raw dataset or a trained model, whose files would be replaced. Give "
            "another folder with -o."
        )
    given = {realpath(file): file for case in cases for file in case.files}
    is_beside_images = realpath(out) in map(dirname, given)
    is_kept = is_beside_images or basename(realpath(out)) in outputs.GROUND_TRUTH
    owners: dict[Path, str] = {}
    are_ours = [read_record(records[case.name]) is not None for case in cases]
    for name, content in documents:
        if is_beside_images and not any(are_ours) and outputs.is_other_document(out / name, content):
            raise PancextError(
                f"{out / name} already exists beside the images and would be replaced by the "
                "model's. Give another folder with -o."
            )
    for case, is_ours in zip(cases, are_ours, strict=True):
        for path in results_of(case):
            if (file := given.get(realpath(path))) is not None:
                raise PancextError(
                    f"The result {path} would replace the image {file}. Give another folder with -o."
                )
            if is_kept and not is_ours and path.exists():
                where = "beside the images" if is_beside_images else "in a folder of ground truth"
                raise PancextError(
                    f"{path} already exists {where} and is not from an earlier prediction. Give another "
                    "folder with -o."
                )
            owner = owners.setdefault(path, case.name)
            if owner != case.name:
                raise PancextError(
                    f"The cases {shown_name(owner)} and {shown_name(case.name)} would both be written to "
                    f"{path}. Rename one of them, or predict them separately."
                )
