"""`pancext predict`: segment new images with any trained nnU-Net model."""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from os.path import realpath
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_pancext.cli import predict_dicom, predict_models
from nnunet_pancext.cli.options import add_allow, add_command, add_out
from nnunet_pancext.cli.predict_dicom import add_dicom
from nnunet_pancext.cli.predict_models import add_model
from nnunet_pancext.errors import PancextError

if TYPE_CHECKING:
    import torch

    from nnunet_pancext.prediction.cases import Case
    from nnunet_pancext.prediction.models import Choice
    from nnunet_pancext.prediction.run import Predicted, Prediction

DESCRIPTION = """\
Segment images with a trained nnU-Net model of any trainer. The output is CASE.nii.gz, in the image's
geometry, and CASE.json: volumes, lesions, windows run and model. The exit code is 1 if a case failed. For a
DICOM series, a DICOM-SEG (CASE.seg.dcm) is also written, and sent on request. RTSTRUCT is not offered.

  exact      every window of the image: the labels of nnUNetv2_predict, bit for bit on a CPU
  balanced   nnU-Net's own windows around the organ only (default)
  fast       fewer windows and less mirroring; `--self-test` measures the effect for a model"""

EXAMPLES = """\
examples:
  M=$nnUNet_results/Dataset007_Pancreas/SegResNetNLTrainer__nnUNetPlans__3d_fullres
  pancext predict new_cts -o segmentations -m $M --report
  pancext predict ct.nii.gz -o segmentations -d 7 -c 3d_fullres -tr SegResNetNLTrainer -f 0 1
  pancext predict new_cts -o segmentations --best 7 --speed exact
  pancext predict study.zip -o segmentations -m $M
  pancext predict dicomweb:https://pacs.hospital/dicom-web/studies/1.2.3 -o segmentations -m $M \\
    --token-file token --store https://pacs.hospital/dicom-web
"""
SPEEDS = ("exact", "balanced", "fast")
MOST_THREADS = 1024


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the `predict` sub-command."""
    text = "segment new images with any trained nnU-Net model, by default only around the organ"
    parser = add_command(commands, "predict", help=text, description=DESCRIPTION, epilog=EXAMPLES)
    parser.add_argument(
        "inputs",
        nargs="*",
        default=[],
        metavar="INPUT",
        help="images, or a folder of images called CASE_0000.nii.gz (further channels _0001, …); or DICOM: "
        "folder or zip of a CT series or study, or dicomweb:https://HOST/PATH/studies/UID[/series/UID]",
    )
    add_out(parser, "-o", default="none; required unless --self-test")
    add = parser.add_argument
    add(
        "-i",
        dest="more_inputs",
        nargs="+",
        default=[],
        metavar="INPUT",
        help="the same, as in nnUNetv2_predict",
    )
    add_model(parser)
    add("-device", "--device", choices=("cuda", "cpu", "mps"), help="default: cuda if any, else cpu")
    add(
        "--threads",
        type=int,
        metavar="N",
        help="CPU threads (default: PyTorch's, at most nnUNet_def_n_proc)",
    )
    add("--speed", choices=SPEEDS, default="balanced", help="default: %(default)s")
    add("--disable_tta", action="store_true", help="no mirroring, as in nnUNetv2_predict")
    add("--save_probabilities", action="store_true", help="also CASE.npz and CASE.pkl, as nnUNetv2_predict")
    add("--per-fold", action="store_true", help="also the label map of each fold: fold_F/CASE.nii.gz")
    add("--entropy", action="store_true", help="also CASE_entropy.nii.gz: uncertainty of each voxel, in nats")
    add(
        "--lesions",
        nargs="+",
        default=[],
        metavar="NAME",
        help="labels whose components are listed as lesions",
    )
    add("--report", action="store_true", help="also an HTML page with pictures and a table of all cases")
    add(
        "--reference",
        type=Path,
        metavar="LABELS",
        help="also score against this folder of ground-truth label maps",
    )
    add(
        "--self-test",
        action="store_true",
        help="measure on validation cases how each speed changes the results",
    )
    add("--cases", type=int, metavar="N", help="validation cases of --self-test (default: 10)")
    add_allow(parser)
    add_dicom(parser)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Predict as parsed, and print a line for each case."""
    import torch

    threads = torch.get_num_threads()
    try:
        if parsed.threads is not None:
            if parsed.threads < 1:
                raise PancextError(f"--threads {parsed.threads}: give a number of at least 1.")
            if parsed.threads > MOST_THREADS:
                raise PancextError(f"--threads {parsed.threads}: give a number of at most {MOST_THREADS}.")
            torch.set_num_threads(parsed.threads)
        return _run(parsed)
    finally:
        torch.set_num_threads(threads)


def _run(parsed: argparse.Namespace) -> int:
    from nnunet_pancext.checkpoints.device import choose_device
    from nnunet_pancext.dicom_output.quiet import quiet_dicom
    from nnunet_pancext.doctor.settings import GENERAL
    from nnunet_pancext.evaluation.folder import require_folders
    from nnunet_pancext.io.console_text import LONGEST_LINE, counted, is_utf8, printable, shown_name
    from nnunet_pancext.io.files import output_folder
    from nnunet_pancext.io.temporary_folder import temporary_folder
    from nnunet_pancext.nnunet_commands.console import Console
    from nnunet_pancext.prediction.case_result import Wanted
    from nnunet_pancext.prediction.cases import FoundCases, find_cases
    from nnunet_pancext.prediction.progress import Progress
    from nnunet_pancext.prediction.record import NOTICE
    from nnunet_pancext.prediction.run import Prediction
    from nnunet_pancext.trainers.machinery.allocator import keep_freed_memory

    parsed.inputs += parsed.more_inputs
    _require_input(parsed)
    processes = os.environ.get(GENERAL, "1")
    if not re.fullmatch(r"[0-9]{1,9}", processes):
        raise PancextError(f"{GENERAL} is {processes!r}. Set it to a number of processes, or unset it.")
    device = choose_device(parsed.device)
    if device.type == "cpu":
        keep_freed_memory()
    choice = predict_models.choose(parsed)
    if parsed.self_test:
        return _self_test(parsed, choice, device)
    if not is_utf8(parsed.out.absolute()):
        raise PancextError(
            f"-o {shown_name(str(parsed.out))} is not UTF-8, which SimpleITK needs. Rename it."
        )
    if parsed.reference is not None:
        require_folders(parsed.reference, parsed.reference)
        if realpath(parsed.out) == realpath(parsed.reference):
            raise PancextError(
                f"--reference and -o are both {parsed.out}: the ground truth would be replaced. Give another "
                "folder with -o."
            )
    console = Console()
    prediction = Prediction(
        choice,
        Wanted(
            speed=parsed.speed,
            mirroring=not parsed.disable_tta,
            save_probabilities=parsed.save_probabilities,
            per_fold=parsed.per_fold,
            entropy=parsed.entropy,
        ),
        out=parsed.out,
        device=device,
        progress=Progress(console),
        lesions=parsed.lesions,
        allow=parsed.allow,
        keep_volumes=parsed.report,
    )
    dicom, images = predict_dicom.split_inputs(parsed.inputs, endings=prediction.reader.endings)
    if dicom:
        access = predict_dicom.prepare(parsed, prediction, dicom)
    else:
        predict_dicom.refuse_unused(parsed)
    found = FoundCases(cases=[], left_out=[])
    if images:
        found = find_cases(
            images, endings=prediction.reader.endings, num_channels=len(prediction.dataset.channel_names)
        )

    def warn(text: str) -> None:
        console.clear_status()
        lines = (printable(line, most=LONGEST_LINE) for line in text.split("\n"))
        print("pancext predict: " + "\n".join(lines), file=sys.stderr, flush=True)

    if found.left_out:
        names = ", ".join(path.name for path in found.left_out[:3])
        files = counted(len(found.left_out), "file")
        warn(f"left out {files} not called CASE_0000, {names} first")
    with ExitStack() as stack:
        stack.enter_context(output_folder(parsed.out))
        cases = found.cases
        if dicom:
            stack.enter_context(quiet_dicom())
            if not prediction.dataset.is_ct:
                warn("the DICOM series is CT, but the model was not trained on CT")
            folder = stack.enter_context(
                temporary_folder(under=parsed.out, prefix=predict_dicom.TEMPORARY, option="-o")
            )
            cases = cases + predict_dicom.find_dicom_cases(
                parsed, dicom, folder=folder, access=access, console=console
            )
        for stage in choice.stages:
            print(f"model     {stage}")
        if change := prediction.change_of_dice:
            print(f"Dice      change by {parsed.speed}: {change}")
        print(f"cases     {len(cases)}, {parsed.speed}, on {device.type}", flush=True)
        predicted = prediction.predict_all(cases, warn=warn)
        console.clear_status()
        if predicted.records:
            print(f"written   {parsed.out}")
        if parsed.report:
            _report(prediction, predicted, cases)
    code = 1 if predicted.failures or predicted.unsent else 0
    if parsed.reference is not None and predicted.records:
        code = _evaluate(prediction, predicted, parsed.reference) or code
    print(NOTICE, flush=True)
    if predicted.failures:
        warn(f"{len(predicted.failures)} of {len(cases)} cases failed")
    if predicted.unsent:
        count = len(predicted.unsent)
        warn(f"the DICOM-SEG of {count} case{'s' * (count > 1)} was not sent; it is kept")
    return code


def _require_input(parsed: argparse.Namespace) -> None:
    """Refuse a command line without input or output, or one whose option took the input."""
    for option, words in (("-f", parsed.folds), ("--lesions", parsed.lesions), ("--allow", parsed.allow)):
        if not parsed.inputs and (taken := [word for word in words if Path(word).exists()]):
            raise PancextError(f"{option} took {taken[0]} as one of its values. Write INPUT first.")
    if parsed.self_test:
        if parsed.inputs or parsed.out is not None:
            raise PancextError("--self-test takes neither INPUT nor -o: its cases are those of the training.")
        if parsed.disable_tta:
            raise PancextError("--self-test measures with mirroring. Omit --disable_tta.")
        predict_dicom.refuse_unused(parsed)
        return
    if parsed.cases is not None:
        raise PancextError("--cases is the number of cases of --self-test. Omit it.")
    if not parsed.inputs:
        raise PancextError("There is nothing to predict. Give images, or a folder of them, as INPUT.")
    if parsed.out is None:
        raise PancextError("There is no output folder. Give it with -o.")
    for fold in parsed.folds:
        if fold != "all" and not re.fullmatch(r"[0-9]{1,9}", fold):
            raise PancextError(f"-f {fold} is not a fold. Give numbers such as 0 1 2 3 4, or all.")


def _self_test(parsed: argparse.Namespace, choice: "Choice", device: "torch.device") -> int:
    """Measure what each speed changes for the models, and print it."""
    from nnunet_pancext.nnunet_commands.console import Console
    from nnunet_pancext.prediction.self_test.run import DEFAULT_CASES, FILE, run_self_test, self_test_table

    console = Console()
    for model in choice.models:
        print(f"model     {model}", flush=True)
        result = run_self_test(
            model,
            cases=DEFAULT_CASES if parsed.cases is None else parsed.cases,
            device=device,
            allow=parsed.allow,
            announce=console.say,
        )
        print(f"\n{self_test_table(result)}\n\nwritten   {model.folder / FILE}", flush=True)
    return 0


def _report(prediction: "Prediction", predicted: "Predicted", cases: "Sequence[Case]") -> None:
    """Write the page about all cases that are done."""
    from nnunet_pancext.io.parallel import default_jobs
    from nnunet_pancext.prediction.dicom.case import image_of
    from nnunet_pancext.prediction.report.page import write_prediction_page

    records = predicted.records
    page = prediction.out / "prediction.html"
    write_prediction_page(
        page,
        list(records.values()),
        images={case.name: path for case in cases if case.name in records and (path := image_of(case))},
        label_maps={case: prediction.out / str(content["label_map"]) for case, content in records.items()},
        labels=prediction.dataset.labels,
        is_ct=prediction.dataset.is_ct,
        failures=predicted.failures,
        jobs=default_jobs(),
        show_progress=True,
    )
    print(f"report    {page}")


def _evaluate(prediction: "Prediction", predicted: "Predicted", truth: Path) -> int:
    """Score the cases that are done, into the folder `evaluation`; return 1 if one could not be scored."""
    from nnunet_pancext.evaluation.folder import evaluate, failure_text
    from nnunet_pancext.evaluation.scores import write_metrics_csv
    from nnunet_pancext.evaluation.summary import write_summary
    from nnunet_pancext.evaluation.totals_table import format_totals
    from nnunet_pancext.io.files import cannot_write, output_folder
    from nnunet_pancext.io.parallel import default_jobs

    evaluation = evaluate(
        prediction.out,
        truth,
        labels=prediction.dataset.labels,
        file_ending=prediction.dataset.file_ending,
        jobs=default_jobs(),
        keep_going=True,
        only=list(predicted.records),
    )
    with output_folder(prediction.out / "evaluation") as folder:
        try:
            write_metrics_csv(evaluation.scores, folder / "metrics.csv")
            write_summary(evaluation, folder / "summary.json")
        except OSError as error:
            raise cannot_write(folder, error) from error
    print(format_totals(evaluation))
    print(f"\ntables    {folder / 'metrics.csv'}, {folder / 'summary.json'}")
    for case, text in evaluation.failures.items():
        print(f"not scored    {failure_text(case, text)}", file=sys.stderr)
    return 1 if evaluation.failures else 0
