"""Options, inputs and output folders that cannot work are refused before anything is predicted."""

from pathlib import Path

import pytest
from prediction.made_models import write_image


def test_an_unknown_lesion(refused, model):
    refused(
        "There is no label 'tumor'; the model has 'pancreas', 'cancer'", "-m", model, "--lesions", "tumor"
    )


@pytest.mark.parametrize("threads", [0, -2])
def test_no_threads(refused, model, threads):
    refused(f"--threads {threads}: give a number of at least 1", "-m", model, f"--threads={threads}")


def test_no_input(refused, model):
    refused("There is nothing to predict. Give images", "-m", model, inputs=())


def test_no_output_folder(refused, model):
    refused("There is no output folder. Give it with -o", "-m", model, out=None)


def test_an_output_folder_that_is_a_file(refused, model, image):
    refused(
        "Cannot write to .*ct_0000.nii.gz: File exists. Give another folder with -o", "-m", model, out=image
    )


def test_an_output_folder_that_cannot_be_written_to(refused, model):
    refused("Cannot write to /proc/out: No such file or directory", "-m", model, out=Path("/proc/out"))


def test_an_output_that_would_replace_the_image(refused, model, tmp_path):
    image = write_image(tmp_path / "a.nii.gz")
    refused("The result .* would replace the image .*a.nii.gz", "-m", model, inputs=[image], out=tmp_path)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.json"])
def test_a_file_beside_the_image_that_would_be_replaced(refused, model, tmp_path, name):
    image = write_image(tmp_path / "a_0000.nii.gz")
    (tmp_path / name).write_text('{"patient": 1}', encoding="utf-8")
    refused(f"{name} already exists beside the images", "-m", model, inputs=[image], out=tmp_path)


def test_an_output_folder_that_is_a_model(refused, model, copy):
    refused("is a raw dataset or a trained model, whose files would be replaced", "-m", model, out=copy)


def test_an_output_folder_that_is_a_raw_dataset(refused, model, tmp_path):
    (tmp_path / "imagesTr").mkdir()
    refused("is a raw dataset or a trained model", "-m", model, out=tmp_path)


def test_a_folder_named_after_another_configuration(refused, copy):
    other = copy.rename(copy.with_name("nnUNetTrainer__nnUNetPlans__3d_fullres"))
    refused("is named after the configuration 3d_fullres, but its checkpoint is of another", "-m", other)


def test_two_cases_with_one_name(refused, model, image, tmp_path):
    other = write_image(tmp_path / "others" / "ct.nii.gz")
    refused(
        "ct.nii.gz are both channel 0 of the case ct. Give each case once", "-m", model, inputs=[image, other]
    )


def test_two_formats_of_one_case(refused, model, tmp_path):
    for ending in (".nii.gz", ".nrrd"):
        write_image(tmp_path / "in" / f"a_0000{ending}")
    refused("are both channel 0 of the case a", "-m", model, inputs=[tmp_path / "in"])


def test_cases_whose_results_would_have_one_name(refused, model, tmp_path):
    inputs = [write_image(tmp_path / f"{name}_0000.nii.gz") for name in ("a", "a_entropy")]
    refused("The cases a and a_entropy would both be written to", "-m", model, "--entropy", inputs=inputs)


def test_a_case_with_the_name_of_another_output(refused, model, tmp_path):
    image = write_image(tmp_path / "plans_0000.nii.gz")
    refused("a case cannot be called plans", "-m", model, inputs=[image])


def test_a_file_of_another_kind(refused, model, tmp_path):
    (tmp_path / "notes.txt").write_text("", encoding="utf-8")
    refused(
        "notes.txt does not end in .nii.gz or .nrrd or .mha", "-m", model, inputs=[tmp_path / "notes.txt"]
    )


def test_an_empty_folder(refused, model, tmp_path):
    (tmp_path / "in").mkdir()
    refused(
        "in is empty. Give a folder of images called CASE_0000.nii.gz", "-m", model, inputs=[tmp_path / "in"]
    )


def test_a_folder_in_another_naming(refused, model, tmp_path):
    write_image(tmp_path / "in" / "a.nii.gz")
    refused(
        "holds no image called CASE_0000.nii.gz, .*, and no DICOM file. There are a.nii.gz",
        *("-m", model),
        inputs=[tmp_path / "in"],
    )


def test_a_folder_that_is_missing(refused, model, tmp_path):
    refused("There is no .*/cts. Give files that end in .nii.gz", "-m", model, inputs=[tmp_path / "cts"])


def test_a_reference_that_is_missing(refused, model, tmp_path):
    refused("There is no folder of .* label maps at .*truth", "-m", model, "--reference", tmp_path / "truth")
