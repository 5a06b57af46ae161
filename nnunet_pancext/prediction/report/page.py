"""The page about a run of predictions: a table over all cases, and a card with pictures for each."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import SimpleITK as sitk

from nnunet_pancext.evaluation.targets import read_targets
from nnunet_pancext.io.console_text import counted, shown_name
from nnunet_pancext.io.disk import write_errors_as_pancext
from nnunet_pancext.io.durations import duration_text
from nnunet_pancext.io.parallel import for_each
from nnunet_pancext.pages.page import write_page
from nnunet_pancext.prediction.report.cards import Card, draw_card, pictures_of_each
from nnunet_pancext.prediction.report.texts import (
    MOST_VOLUMES,
    Record,
    case_table,
    found_lesions,
    is_measured,
    lists_lesions,
    model_facts,
    model_title,
)

NOTICE = "For research. Not a medical device."
NO_VOLUMES = "There are no volumes: the images have no thickness or no spacing."
NO_LESIONS = "No lesions are listed: no label's name means a lesion. Name such labels with --lesions."


def write_prediction_page(
    target: Path,
    records: Sequence[Record],
    *,
    images: Mapping[str, Path | sitk.Image],
    label_maps: Mapping[str, Path],
    labels: Mapping[str, int | list[int]],
    is_ct: bool,
    failures: Mapping[str, str] | None = None,
    jobs: int = 1,
    show_progress: bool = False,
) -> None:
    """Write the page to one file, atomically.

    Args:
        records: content of each CASE.json, in the order of the page.
        images: file of the first channel by case. A case whose image is gone has no picture.
        label_maps: file of the label map by case.
        labels: those of the model's dataset.json, with regions as lists.
        is_ct: whether the first channel is in HU.
        failures: cases that could not be predicted, and why; the page has the first line.
        jobs: cases drawn at a time.

    Raises:
        PancextError: the page cannot be written, or `labels` are malformed.
    """
    failures = failures or {}
    targets = read_targets(labels)
    cards = [Card(record, anchor=f"case-{number}") for number, record in enumerate(records, 1)]
    headings, rows = case_table(records, [f"#{card.anchor}" for card in cards])
    with tempfile.TemporaryDirectory() as folder:

        def draw(planned: tuple[Card, int]) -> None:
            card, most = planned
            case = card.record["case"]
            draw_card(
                card,
                image=images.get(case),
                label_map=label_maps.get(case),
                targets=targets,
                is_ct=is_ct,
                most=most,
                folder=Path(folder),
            )

        planned = list(zip(cards, pictures_of_each(records), strict=True))
        for_each(draw, planned, jobs=jobs, title="drawing", show_progress=show_progress)
        with write_errors_as_pancext(target, option="-o"):
            write_page(
                target,
                "prediction/report/page.html",
                title=_title(records, failures),
                notes=[NOTICE],
                notice=NOTICE,
                counts=_counts(records, failures),
                failures={shown_name(case): reason.split("\n")[0] for case, reason in failures.items()},
                headings=headings,
                rows=rows,
                remarks=_table_remarks(records),
                cards=cards,
                model=model_facts(records[0]) if records else [],
            )


def _title(records: Sequence[Record], failures: Mapping[str, str]) -> str:
    count = len(records) + len(failures)
    model = model_title(records[0]) if records else ""
    return f"Prediction of {counted(count, 'case')}" + (f" by {model}" if model else "")


def _counts(records: Sequence[Record], failures: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the numbers at the top of the page, with names."""
    left_out = sum(record["windows"]["left_out"] for record in records)
    windows = left_out + sum(record["windows"]["run"] for record in records)
    seconds = sum(record["seconds"].get("total") or 0 for record in records)
    with_lesions = sum(found_lesions(record) > 0 for record in records)
    counts = [
        ("cases predicted", str(len(records))),
        *([("with lesions", str(with_lesions))] if lists_lesions(records) else []),
        ("windows left out", f"{left_out / windows:.0%}" if windows else "0%"),
        ("time", duration_text(seconds)),
    ]
    return ([("failed", str(len(failures)))] if failures else []) + counts


def _table_remarks(records: Sequence[Record]) -> list[str]:
    remarks = [] if not records or is_measured(records) else [NO_VOLUMES]
    unlisted = len(records[0]["volumes_ml"]) - MOST_VOLUMES if records else 0
    if unlisted > 0 and not remarks:
        remarks.append(f"Volumes of {counted(unlisted, 'further label')}: see each case.")
    if records and not lists_lesions(records):
        remarks.append(NO_LESIONS)
    return remarks
