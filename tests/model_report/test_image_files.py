"""The image files of a case: one per channel, or a colour picture."""

from types import SimpleNamespace

import pytest

from nnunet_pancext.errors import PancextError
from nnunet_pancext.model_report.case_figures import image_files


@pytest.fixture
def model(tmp_path):
    dataset = SimpleNamespace(channel_names=("red", "green", "blue"), file_ending=".png")
    return SimpleNamespace(images=tmp_path, dataset=dataset)


def add(model, *numbers):
    for number in numbers:
        (model.images / f"a_{number:04d}{model.dataset.file_ending}").touch()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_colour_picture_is_one_file_and_channels_are_files_of_their_own(model, channels):
    add(model, *range(channels))
    assert [file.name for file in image_files(model, "a")] == [f"a_{n:04d}.png" for n in range(channels)]


@pytest.mark.parametrize(("ending", "present"), [(".nii.gz", [0]), (".png", [0, 1]), (".png", [])])
def test_a_missing_channel_is_named(model, ending, present):
    model.dataset.file_ending = ending
    add(model, *present)
    missing = f"a_{len(present):04d}{ending}"
    with pytest.raises(PancextError, match=f"The image of case 'a' is not at .*{missing}. Give the folder"):
        image_files(model, "a")
