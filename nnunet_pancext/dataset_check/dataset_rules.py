"""What nnU-Net demands of a dataset.json and of the names of files, before it opens any image."""

from collections.abc import Iterator, Mapping
from typing import Any

from nnunet_pancext.dataset_check.finding import ERROR, WARNING, Finding, refused
from nnunet_pancext.dataset_check.label_rules import judge_labels
from nnunet_pancext.nnunet_files.case_files import files_taken_for_images
from nnunet_pancext.nnunet_files.dataset_json import DatasetJson
from nnunet_pancext.nnunet_files.folders import datasets_of_number
from nnunet_pancext.raw_cases.reader_choice import OVERWRITE, names_unknown_reader, usual_reader

CHANNELS, V1_CHANNELS, COUNT, ENDING = "channel_names", "modality", "numTraining", "file_ending"
MOST_NAMES = 3


def judge_dataset_json(declared: DatasetJson) -> Iterator[Finding]:
    """Yield what is wrong with a dataset.json, whatever files there are."""
    yield from judge_labels(declared.content)
    yield from _judge_channels(declared.content)
    yield from _judge_reader(declared)


def judge_files(declared: DatasetJson, *, cases: int) -> Iterator[Finding]:
    """Yield what nnU-Net refuses about number and names of files; `cases` are the training cases found."""
    content, folder = declared.content, declared.path.parent
    count = content.get(COUNT)
    if type(count) is not int or count != cases:
        remedy = f'Write "{COUNT}": {cases}, or add or remove cases.'
        yield refused(content, COUNT, expected=f"the number of training cases, {cases}", remedy=remedy)
    if "dataset" not in content and not (folder / "labelsTr").is_dir():
        yield Finding(
            ERROR, "labelsTr", f"{folder} has no labelsTr; nnU-Net expects the label maps there. Add it."
        )
    if strays := files_taken_for_images(declared):
        more = f" and {len(strays) - MOST_NAMES} more" if len(strays) > MOST_NAMES else ""
        yield Finding(
            ERROR,
            "imagesTr",
            f"imagesTr holds {', '.join(strays[:MOST_NAMES])}{more}; nnU-Net takes each for an image of a "
            f"case, named CASE_0000{declared.file_ending}. Rename or remove it.",
        )
    twins = datasets_of_number(folder)
    if len(twins) > 1:
        message = f"{' and '.join(twins)} have one number; nnU-Net refuses it. Rename or remove all but one."
        yield Finding(ERROR, "dataset number", message)


def judge_reader_choice(declared: DatasetJson, reader: str, *, example: str) -> Iterator[Finding]:
    """Yield a warning if nnU-Net reads the dataset by another reader than usual, due to its first image."""
    usual = usual_reader(declared)
    if reader != usual:
        yield Finding(
            WARNING,
            "reader",
            f"nnU-Net reads all images by {reader}, because {usual} cannot read {example}. Correct that "
            f'image or, if it is meant so, write "{OVERWRITE}": "{reader}" in dataset.json.',
        )


def _judge_channels(content: Mapping[str, Any]) -> Iterator[Finding]:
    names, former = content.get(CHANNELS), content.get(V1_CHANNELS)
    expected = 'the name of each channel by its number, as in {"0": "CT"}'
    if CHANNELS not in content and V1_CHANNELS in content:
        remedy = f'Rename v1\'s "{V1_CHANNELS}" to "{CHANNELS}".'
        yield refused(content, CHANNELS, expected=expected, remedy=remedy)
    elif not isinstance(names, dict) or not names or not all(isinstance(v, str) for v in names.values()):
        yield refused(content, CHANNELS, expected=expected, remedy="Correct or add it.")
    else:
        if isinstance(former, (dict, list)) and len(former) != len(names):
            expected = f'the {len(names)} channels of "{CHANNELS}", but goes by this key of v1 in training'
            yield refused(content, V1_CHANNELS, expected=expected, remedy="Remove it.")
        if list(names) != [str(number) for number in range(len(names))]:
            expected = "the entries in the order of the channels, whatever their numbers"
            remedy = "Number them 0, 1, 2, … in this order."
            yield refused(content, CHANNELS, expected=expected, remedy=remedy, level=WARNING)


def _judge_reader(declared: DatasetJson) -> Iterator[Finding]:
    content, ending = declared.content, declared.content.get(ENDING)
    if not isinstance(ending, str) or not ending.startswith("."):
        expected = "the ending of image and label files, as in .nii.gz"
        yield refused(content, ENDING, expected=expected, remedy="Correct or add it.")
    expected = 'the name of a reader class, as in "NibabelIO"'
    if not isinstance(content.get(OVERWRITE, "None"), str):
        yield refused(content, OVERWRITE, expected=expected, remedy="Correct or remove it.")
    elif names_unknown_reader(declared):
        remedy = f"It has no such reader and goes by {ENDING}. Correct or remove it."
        yield refused(content, OVERWRITE, expected=expected, remedy=remedy, level=WARNING)
