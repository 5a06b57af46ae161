"""Predicting cases: each is read, run, measured and written; a case that fails leaves the others alone."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.targets import read_targets
from nnunet_pancext.io.console_text import shown_name
from nnunet_pancext.model_sharing.postprocessing import read_postprocessing
from nnunet_pancext.model_sharing.unpack import sha256_of
from nnunet_pancext.nnunet_files.dataset_json import NAME
from nnunet_pancext.prediction import outputs, record
from nnunet_pancext.prediction.case_files import CaseFiles
from nnunet_pancext.prediction.case_result import CaseResult, LoadedModels, Seconds, Wanted, predict_image
from nnunet_pancext.prediction.cases import Case
from nnunet_pancext.prediction.dicom import results as dicom_results
from nnunet_pancext.prediction.dicom.case import DicomCase
from nnunet_pancext.prediction.dicom.results import SegmentationOutput, Sending
from nnunet_pancext.prediction.failures import memory_as_pancext, unexpected
from nnunet_pancext.prediction.lesion_names import lesion_labels_of
from nnunet_pancext.prediction.measures import measure
from nnunet_pancext.prediction.models import PLANS, Choice, require_together, require_usable_plan
from nnunet_pancext.prediction.own_files import require_own_files
from nnunet_pancext.prediction.progress import Progress
from nnunet_pancext.prediction.reading import HERE, CaseImage, CaseReader
from nnunet_pancext.prediction.report.texts import EXACT, NOT_MEASURED, self_test_text
from nnunet_pancext.prediction.self_test.kept import self_test_of
from nnunet_pancext.raw_cases.source import name_of


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """The records of cases that are done, and why others failed, by case in the order given.

    `unsent` says why the DICOM-SEG of a case was not sent.
    """

    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    unsent: dict[str, str] = field(default_factory=dict)


class Prediction:
    """The chosen models, ready to predict cases into the folder `out`.

    `lesions` are the labels whose components are listed as lesions, by default as `lesion_labels_of` finds.
    The attributes `segmentation` and `sending` say what becomes of cases from DICOM, whose volumes
    remain for the time being with `keep_volumes`.

    Raises:
        PancextError: the models do not go together, a lesion is no label, or a file of a model is unreadable.
    """

    def __init__(
        self,
        choice: Choice,
        wanted: Wanted,
        *,
        out: Path,
        device: torch.device,
        progress: Progress,
        lesions: Sequence[str] = (),
        allow: Sequence[str] = (),
        keep_volumes: bool = False,
    ) -> None:
        self.segmentation: SegmentationOutput | None = None
        self.sending: Sending | None = None
        self.keep_volumes = keep_volumes
        self.choice, self.wanted, self.out, self.progress = choice, wanted, out, progress
        self.dataset = choice.models[0].dataset
        require_together(choice)
        for stage in choice.stages:
            require_usable_plan(stage)
        if wanted.per_fold and len(choice.models) > 1:
            raise PancextError(
                "--per-fold writes the label maps of one model's folds, but two models are averaged here. "
                "Give one of them with -d, -c and -tr."
            )
        self.reader = CaseReader(choice.models[0])
        self.targets = read_targets(self.dataset.labels)
        self.lesion_labels = lesion_labels_of(self.targets, lesions or None)
        self.models = LoadedModels(
            choice, device=device, mirroring=wanted.mirroring, allow=allow, progress=progress
        )
        self.options: dict[str, Any] = {
            **asdict(wanted),
            "lesions": list(self.lesion_labels),
            "device": device.type,
            "threads": torch.get_num_threads(),
            "postprocessing_sha256": None,
        }
        if choice.postprocessing is not None:
            read_postprocessing(choice.postprocessing)
            self.options["postprocessing_sha256"] = sha256_of(choice.postprocessing)
        self.model_facts = [record.model_facts(stage) for stage in choice.stages]
        is_measured_so = wanted.mirroring  # as in every self-test
        self.self_test: Any = record.NOT_MEASURED
        if is_measured_so:
            self.self_test = self_test_of(choice, wanted.speed, device=device.type)

    @property
    def change_of_dice(self) -> str:
        """What the self-test measured of the speed, or that it did not; empty for `exact`."""
        if self.wanted.speed == EXACT:
            return ""
        text = self_test_text(self.self_test)
        return f"{text}; --self-test measures it" if text == NOT_MEASURED else text

    def files_of(self, case: Case) -> CaseFiles:
        """Return where the results of a case are written."""
        return CaseFiles(out=self.out, case=case.name, ending=self.dataset.file_ending)

    def predict_all(self, cases: Sequence[Case], *, warn: Callable[[str], None]) -> Predicted:
        """Predict cases, keep those that are done already, and report failures through `warn` at once.

        Raises:
            PancextError: results would replace an input or each other, a model cannot be loaded, or the disk
                is full.
        """
        require_own_files(
            cases,
            out=self.out,
            records={case.name: self.files_of(case).record for case in cases},
            results_of=self._outputs,
            documents=self.documents,
        )
        self.options["plausible_ml"] = self._plausible_ml()
        outputs.remove_abandoned(self.out)
        predicted = Predicted()
        for number, case in enumerate(cases, 1):
            try:
                self._predict_or_keep(case, predicted, warn, number=number, of=len(cases))
                self._send(case, predicted, warn)
            finally:
                if isinstance(case, DicomCase):
                    case.source.close(keep_volume=self.keep_volumes)
        return predicted

    def _predict_or_keep(
        self, case: Case, predicted: Predicted, warn: Callable[[str], None], *, number: int, of: int
    ) -> None:
        name = shown_name(case.name)
        try:
            kept = None if case.fault else self._find_kept(case)
        except PancextError as error:
            self._fail(case, str(error), predicted, warn)
            return
        if kept is not None:
            self.progress.console.say(f"{name}: kept")
            predicted.records[case.name] = kept
            return
        if not case.fault:
            self._prepare()
        self.progress.begin_case(name, number=number, of=of)
        try:
            with memory_as_pancext():
                predicted.records[case.name] = self._predict(case, warn)
        except PancextError as error:
            if outputs.is_disk_full(error):
                raise
            self._fail(case, str(error), predicted, warn)
        except BrokenPipeError:  # nobody reads what is printed
            raise
        except Exception as error:  # a fault of this program, or of nnU-Net's: the other cases go on
            text = unexpected(error, is_private=isinstance(case, DicomCase))
            self._fail(case, text, predicted, warn)

    def _send(self, case: Case, predicted: Predicted, warn: Callable[[str], None]) -> None:
        """Send the DICOM-SEG of a case that is done, also of one that was kept: it may not have arrived."""
        file = self.files_of(case).segmentation
        content = predicted.records.get(case.name, {})
        if self.sending is None or not (content.get(dicom_results.KEY) or {}).get("file"):
            return
        name = shown_name(case.name)
        failures = self.sending.send(file, say=lambda text: self.progress.console.say(f"{name}: {text}"))
        for text in failures:
            warn(f"{name}: {text}")
        if failures:
            predicted.unsent[case.name] = "\n".join(failures)

    def _plausible_ml(self) -> list[list[float] | None]:
        """Return the smallest and the largest plausible volume of each stage; None if unknown."""
        if self.wanted.speed == "exact":
            return [None for _ in self.choice.stages]
        believed = map(self.models.plausible_ml, self.choice.stages)
        return [None if volumes is None else list(volumes) for volumes in believed]

    def _prepare(self) -> None:
        """Load the models and, as nnU-Net does, copy their plan and dataset.json, before the first case."""
        if not self.models.are_loaded:
            self.models.load_all()
            for name, content in self.documents:
                outputs.write_document(content, self.out / name)

    @property
    def documents(self) -> list[tuple[str, Any]]:
        """Names and contents of the files that nnU-Net copies from the model."""
        return [(NAME, self.dataset.content), (PLANS, self.choice.models[0].plans)]

    def _fail(self, case: Case, text: str, predicted: Predicted, warn: Callable[[str], None]) -> None:
        predicted.failures[case.name] = text
        warn(f"{shown_name(case.name)}: {text}")

    def _find_kept(self, case: Case) -> dict[str, Any] | None:
        """Return the record of a case that was predicted before from the same files in the same way."""
        files = self.files_of(case)
        former = record.read_record(files.record)
        needed = files.all(self.wanted, self.choice.models[0].folds)
        if former is None or not all(path.is_file() for path in needed):
            return None
        if self._wants_segmentation(case):
            entry = former.get(dicom_results.KEY)
            if not isinstance(entry, dict) or (entry.get("file") and not files.segmentation.is_file()):
                return None
        options = self._options_of(case)
        inputs = input_facts_of(case)
        if not record.is_of(former, inputs=inputs, models=self.model_facts, options=options):
            return None
        if not self.reader.is_whole(files.label_map):
            return None
        if former.get("self_test") != self.self_test:  # which was run since
            former["self_test"] = self.self_test
            outputs.write_document(former, files.record)
        return former

    def _wants_segmentation(self, case: Case) -> bool:
        return self.segmentation is not None and isinstance(case, DicomCase)

    def _options_of(self, case: Case) -> dict[str, Any]:
        if self.segmentation is None or not isinstance(case, DicomCase):
            return self.options
        return {**self.options, dicom_results.KEY: self.segmentation.options()}

    def _outputs(self, case: Case) -> list[Path]:
        """Return every file that may be written of a case."""
        files = self.files_of(case)
        of_dicom = [files.segmentation] if self._wants_segmentation(case) else []
        return [*files.all(self.wanted, self.choice.models[0].folds), *of_dicom]

    def _predict(self, case: Case, warn: Callable[[str], None]) -> dict[str, Any]:
        started, seconds = time.monotonic(), Seconds()
        with seconds.of("read"):
            image = self._read(case)
            inputs = input_facts_of(case)
        for warning in image.warnings:
            warn(f"{shown_name(case.name)}: warning: {warning}")
        result = predict_image(image, self.models, self.wanted, seconds=seconds)
        entropy = result.entropy if self.wanted.entropy else None
        measures = measure(
            result.label_map,
            geometry=image.geometry,
            targets=self.targets,
            lesion_labels=self.lesion_labels,
            probabilities_at=result.probabilities_at,
            entropy=entropy,
            stored=image.stored,
        )
        with seconds.of("write"):
            beside = self._write(case, image, result, entropy)
        passes = [stage.logits.passes for stage in result.stages]
        fallbacks = [part.fallback for part in passes if part.fallback]
        seconds.by_step["total"] = time.monotonic() - started
        content = {
            "schema_version": record.SCHEMA_VERSION,
            "case": case.name,
            "label_map": self.files_of(case).label_map.name,
            "speed": self.wanted.speed,
            **measures.document(),
            "windows": record.window_facts(passes),
            "growths": sum(part.growths for part in passes),
            "fallback": "; ".join(fallbacks) or None,
            "stages": [record.stage_facts(stage.model, stage.logits) for stage in result.stages],
            "seconds": {step: round(seconds.by_step.get(step, 0.0), 3) for step in (*record.STEPS, "total")},
            "peak_memory_mb": record.peak_memory_mb(),
            "self_test": self.self_test,
            "model": self.model_facts,
            "inputs": inputs,
            "options": self._options_of(case),
            "versions": record.versions(),
            "notice": record.NOTICE,
            **beside,
        }
        outputs.write_document(content, self.files_of(case).record)
        self.progress.console.say(f"{self.progress.case}: {record.case_line(content)}")
        return content

    def _read(self, case: Case) -> CaseImage:
        if not isinstance(case, DicomCase):
            return self.reader.read(case)
        if case.fault:
            raise PancextError(case.fault)
        opened = case.source.opened
        if self.segmentation is not None:
            self.segmentation.require_possible(case)
        volume = case.source.volume()
        try:
            image = self.reader.read(Case(name=case.name, files=(volume,)))
        except PancextError as error:
            raise PancextError(str(error).replace(name_of(volume, HERE), "the series")) from error
        return replace(image, warnings=opened.warnings)

    def _write(self, case: Case, image: CaseImage, result: CaseResult, entropy: Any) -> dict[str, Any]:
        """Write everything but the record, which marks a case whose files are all there."""
        files = self.files_of(case)
        former = record.read_record(files.record) or {}
        for file in files.of_options(former.get("options")):  # some may not be written this time
            outputs.remove(file)
        outputs.remove(files.record)
        if isinstance(case, DicomCase):
            outputs.remove(files.segmentation)
        if self.wanted.save_probabilities and result.probabilities is not None:
            outputs.write_probabilities(result.probabilities, result.properties, files.probabilities)
        if entropy is not None:
            outputs.write_map(entropy, files.entropy, geometry=image.geometry, stored=image.stored)
        if self.wanted.per_fold:
            (member,) = result.members
            for index, fold in enumerate(member.model.folds):
                outputs.write_label_map(
                    member.label_map_of_fold(index),
                    files.of_fold(fold),
                    properties=result.properties,
                    reader=self.reader,
                )
        beside = outputs.write_label_map(
            result.label_map, files.label_map, properties=result.properties, reader=self.reader
        )
        if self.segmentation is not None and isinstance(case, DicomCase):
            entry = self.segmentation.write(files.segmentation, label_map=files.label_map, case=case)
            beside |= {dicom_results.KEY: entry}
            if entry["file"] is None:
                self.progress.console.say(
                    f"{shown_name(case.name)}: nothing was found, so there is no DICOM-SEG (--negative none)"
                )
        return beside


def input_facts_of(case: Case) -> list[dict[str, Any]]:
    """Return what identifies the input of a case; raises PancextError where it cannot be read."""
    return case.source.facts() if isinstance(case, DicomCase) else record.input_facts(case.files)
