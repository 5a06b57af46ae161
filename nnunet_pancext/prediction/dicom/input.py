"""DICOM input of a prediction: which CT series the folders, zips and addresses name."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nnunet_pancext.dicom_output import dicomweb
from nnunet_pancext.dicom_output.access import Access, shown_url
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import printable, shown_name
from nnunet_pancext.io.files import walk_visible_files
from nnunet_pancext.io.safe_zip import extract_zip
from nnunet_pancext.prediction.cases import Case, require_case_name
from nnunet_pancext.prediction.dicom.case import CtSource, DicomCase, OpenedSeries, for_prediction
from nnunet_pancext.prediction.dicom.files import is_zip
from nnunet_pancext.prediction.failures import unexpected
from nnunet_pancext.raw_cases.dicom_search import PASSED_OVER, CtSeries, FoundSeries, find_ct_series
from nnunet_pancext.raw_cases.dicom_series import open_series
from nnunet_pancext.raw_cases.dicom_slices import text_of
from nnunet_pancext.raw_cases.source import BadCase

OPTION = "--series"
NO_UID = (
    "the slices have no SeriesInstanceUID, which would be the case's name. Give it a name with --name NAME, "
    "and --no-seg: a DICOM-SEG needs the UID."
)
BAD_UID = (
    "its SeriesInstanceUID, which would be the case's name, is not a UID. Give it a name with --name NAME; "
    "the DICOM-SEG refers to the images by the UIDs that they have."
)
EXTRACT_REMEDY = "Nothing was extracted. Export the study again, or give its folder."
FEW_INSTANCES = 10  # of a server's largest series: it may hold many slices in one instance
UID = re.compile(r"(?=.*\d)[0-9.]{1,64}")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A CT series that an input offers."""

    uid: str
    description: str
    study_uid: str
    slices: int
    unit: str = "slice"

    def __str__(self) -> str:
        text = f"{self.uid or 'without UID'} {printable(self.description)}".strip()
        return f"{text}, {count_of(self.slices, self.unit)}"


@dataclass
class DicomInputs:
    """Finds the cases of DICOM inputs.

    `folder` is where temporary files lie, `chosen` are the UIDs of --series, `name` that of the only case;
    `say` is given one line about each choice, `fetched` how many files of a series are downloaded, and how
    many there are.
    """

    folder: Path
    say: Callable[[str], None]
    fetched: Callable[[int, int], None] = lambda done, total: None
    access: Access = field(default_factory=Access)
    chosen: Sequence[str] = ()
    name: str = ""

    def cases(self, inputs: Sequence[str]) -> list[Case]:
        """Return the cases; one whose series cannot be determined has a fault.

        Raises:
            PancextError: two are of the same series, a chosen one is in no input, or a name is given for
                several.
        """
        found: list[Case] = []
        origins: dict[str, str] = {}
        for number, text in enumerate(inputs):
            shown = self._shown(text)
            for case in self._cases_or_fault(text, self.folder / str(number)):
                if case.fault:
                    case = replace(case, name=_unused(case.name, origins))
                if case.name in origins:
                    raise PancextError(
                        f"{origins[case.name]} and {shown} both hold the series {case.name}. Give it once."
                    )
                origins[case.name] = shown
                found.append(case)
        self._require_chosen(found)
        if not self.name:
            return found
        require_case_name(self.name, option="--name")
        if len(found) != 1:
            raise PancextError(
                f"--name {self.name} is the name of one case, but there are {len(found)}. Omit it, or choose "
                f"one series with {OPTION}."
            )
        (case,) = found
        if isinstance(case, DicomCase):
            fault = "" if case.fault in (NO_UID, BAD_UID) else case.fault
            return [DicomCase(name=self.name, files=case.files, fault=fault, source=case.source)]
        return [Case(name=self.name, files=(), fault=case.fault)]

    def _cases_or_fault(self, text: str, folder: Path) -> list[Case]:
        """Return the cases of an input, or one whose fault is why there are none."""
        try:
            return list(self._cases_of(text, folder))
        except BadCase as error:
            fault = for_prediction(error)
        except PancextError as error:
            fault = str(error)
        except Exception as error:  # a fault of this program: the other inputs go on
            fault = unexpected(error, is_private=True)
        return [Case(name=self._shown(text).rstrip("/").rsplit("/")[-1], files=(), fault=fault)]

    def _require_chosen(self, found: Sequence[Case]) -> None:
        """Raise PancextError for a series of --series that no input has; a fault of an input may be why."""
        uids = {case.source.uid for case in found if isinstance(case, DicomCase)}
        missing = [uid for uid in self.chosen if uid not in uids]
        if missing and not any(case.fault for case in found):
            raise PancextError(
                f"{OPTION} {' and '.join(map(printable, missing))}: no INPUT has a CT series of this UID. "
                "Correct or omit it."
            )

    def _shown(self, text: str) -> str:
        return (
            shown_url(text.removeprefix(dicomweb.PREFIX)) if dicomweb.is_dicomweb(text) else shown_name(text)
        )

    def _cases_of(self, text: str, folder: Path) -> Iterator[Case]:
        if dicomweb.is_dicomweb(text):
            yield from self._cases_on_server(text, folder)
            return
        path = root = Path(text)
        if is_zip(path):
            root = folder / "unpacked"
            root.mkdir(parents=True)
            _unpack(path, root)
        files = [path] if path.is_file() and root == path else list(walk_visible_files(root))
        root = path.parent if root == path and path.is_file() else root
        found = find_ct_series(files, root=root)
        if is_zip(path) and not found.series:
            raise PancextError(f"{path} holds no CT series: {_nothing(found)}. Give one with a CT series.")
        by_uid = {series.uid: series for series in found.series}
        candidates = [_candidate(series) for series in found.series]
        passed_over = {kind: len(paths) for kind, paths in found.passed_over.items()}
        if not candidates:
            found.only_series(root=root)  # raises
        for number, candidate in enumerate(self._choose(candidates, text, passed_over)):
            series = by_uid[candidate.uid]

            def opened(_: Path, series: CtSeries = series) -> OpenedSeries:
                return _open(series, found, root=root)

            yield _case(candidate.uid, tuple(series.headers), folder / f"case{number}", opened)

    def _cases_on_server(self, text: str, folder: Path) -> Iterator[Case]:
        address = dicomweb.parse_address(text, access=self.access)
        listed = dicomweb.list_series(address, access=self.access)
        candidates = [
            Candidate(
                uid=info.uid,
                description=info.description,
                study_uid=address.study_uid,
                slices=info.instances or 0,
                unit="instance",
            )
            for info in listed
            if info.modality in ("CT", "")
        ]
        passed_over = Counter(info.modality for info in listed if info.modality not in ("CT", ""))
        where = self._shown(text)
        if not candidates:
            kinds = ", ".join(f"{count} {modality}" for modality, count in passed_over.items())
            raise PancextError(f"{where} has no CT series, only {kinds}. Give the address of a CT series.")
        for number, candidate in enumerate(self._choose(candidates, where, passed_over)):

            def opened(target: Path, uid: str = candidate.uid) -> OpenedSeries:
                root = target / "downloaded"
                root.mkdir(parents=True)
                files = dicomweb.download_series(
                    address, uid, root, access=self.access, progress=self.fetched
                )
                found = find_ct_series(files, root=root)
                return _open(found.only_series(root=root), found, root=root)

            yield _case(candidate.uid, (), folder / f"case{number}", opened)

    def _choose(
        self, candidates: Sequence[Candidate], source: str, passed_over: Mapping[str, int]
    ) -> list[Candidate]:
        """Return the series to predict, and say which one and what is passed over."""
        if self.chosen:
            taken = [candidate for candidate in candidates if candidate.uid in self.chosen]
            if not taken:
                raise PancextError(
                    f"it has no CT series {' or '.join(map(printable, self.chosen))}. "
                    f"It has {_listed(candidates)}."
                )
        else:
            taken = [_largest(candidates)]
        others = [candidate for candidate in candidates if candidate not in taken]
        passed = [f"CT series {candidate}" for candidate in others]
        passed += [f"{count} {printable(kind)}" for kind, count in sorted(passed_over.items())]
        for candidate in taken:
            suffix = f"; passed over: {'; '.join(passed)}" if passed else ""
            self.say(f"series    {candidate}{suffix}")
        return taken


def _largest(candidates: Sequence[Candidate]) -> Candidate:
    """Return the series with most slices; PancextError where that is not one of one patient's."""
    studies = {candidate.study_uid for candidate in candidates if candidate.study_uid}
    if len(studies) > 1:
        raise PancextError(
            f"it holds CT series of {len(studies)} studies: {_listed(candidates)}. Give the folder of "
            f"each study as an INPUT of its own, or choose with {OPTION} UID."
        )
    most = max(candidate.slices for candidate in candidates)
    largest = [candidate for candidate in candidates if candidate.slices == most]
    if len(largest) > 1:
        raise PancextError(
            f"its largest CT series have the same number of slices: {_listed(largest)}. "
            f"Choose with {OPTION} UID."
        )
    if len(candidates) > 1 and largest[0].unit != "slice" and most < FEW_INSTANCES:
        raise PancextError(
            f"the server does not say how many slices its CT series have: {_listed(candidates)}. Choose with "
            f"{OPTION} UID."
        )
    return largest[0]


def _listed(candidates: Sequence[Candidate]) -> str:
    return "; ".join(map(str, candidates[:5])) + "; …" * (len(candidates) > 5)


def _candidate(series: CtSeries) -> Candidate:
    first = next(iter(series.headers.values()))
    return Candidate(
        uid=series.uid,
        description=series.description,
        study_uid=text_of(first, "StudyInstanceUID"),
        slices=series.num_slices,
    )


def _case(
    uid: str, files: tuple[Path, ...], folder: Path, opened: Callable[[Path], OpenedSeries]
) -> DicomCase:
    source = CtSource(uid=uid, folder=folder, open_series=opened)
    if UID.fullmatch(uid):
        return DicomCase(name=uid, files=files, source=source)
    return DicomCase(name="series", files=files, source=source, fault=BAD_UID if uid else NO_UID)


def _unpack(archive: Path, folder: Path) -> None:
    extract_zip(
        archive,
        folder,
        is_wanted=lambda name: not any(part.startswith((".", "__MACOSX")) for part in name.parts),
        option="-o",
        error_class=PancextError,
        remedy=EXTRACT_REMEDY,
    )


def _nothing(found: FoundSeries) -> str:
    """Return what a zip without CT holds."""
    kinds = ", ".join(f"{len(paths)} {kind}" for kind, paths in sorted(found.passed_over.items()))
    return kinds or "it is empty"


def _open(series: CtSeries, found: FoundSeries, *, root: Path) -> OpenedSeries:
    """Return the checked series. An error names the files passed over, which may be what is missing."""
    try:
        opened = open_series(series, root=root)
    except BadCase as error:
        if not found.passed_over:
            raise
        raise BadCase(error.kind, f"{error} Passed over: {found.warnings[PASSED_OVER]}.") from error
    warnings = {**found.warnings, **opened.warnings}
    warnings.pop(PASSED_OVER, None)  # was said when the series was chosen
    return OpenedSeries(series=opened, root=root, warnings=tuple(warnings.values()))


def _unused(name: str, taken: Mapping[str, str]) -> str:
    """Return the name, with a number where it is taken."""
    name = name or "input"
    numbers = (f"{name} ({number})" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(other for other in numbers if other not in taken)


def count_of(number: int, unit: str) -> str:
    """Return a number with its unit, in plural where it is not 1."""
    return f"{number} {unit}{'s' * (number != 1)}"
