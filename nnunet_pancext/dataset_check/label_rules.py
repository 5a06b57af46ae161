"""What nnU-Net demands of the labels in dataset.json: its LabelManager and its integrity check."""

from collections.abc import Iterator, Mapping
from typing import Any

from nnunet_pancext.dataset_check.finding import ERROR, WARNING, Finding, refused
from nnunet_pancext.io.files import shown_json
from nnunet_pancext.io.label_values import listed
from nnunet_pancext.nnunet_files.dataset_json import decathlon_fault

LARGEST_EXACT = 1 << 24  # in single precision, in which nnU-Net keeps label maps
LABELS, BACKGROUND, IGNORE, ORDER = "labels", "background", "ignore", "regions_class_order"


def readable_labels(content: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the values of each label or region as nnU-Net takes them, without those that it refuses."""
    labels = content.get(LABELS)
    readable = {}
    for name, value in (labels if isinstance(labels, dict) else {}).items():
        numbers = [_as_int(part) for part in _parts(value)]
        kept = tuple(number for number in numbers if number is not None and abs(number) <= LARGEST_EXACT)
        if kept and len(kept) == len(numbers):
            readable[name] = kept
    return readable


def judge_labels(content: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with the keys "labels" and "regions_class_order"."""
    labels = content.get(LABELS)
    if not isinstance(labels, dict) or not labels:
        expected = 'names with their values, as in {"background": 0, "pancreas": 1}'
        yield refused(content, LABELS, expected=expected, remedy="Declare the labels.")
    elif fault := decathlon_fault(labels):
        yield _error(f"dataset.json {fault}")
    else:
        yield from _judge_each(labels)
        yield from _judge_background(labels)
        yield from _judge_values(labels)
        yield from _judge_regions(content, labels)


def _judge_each(labels: Mapping[str, Any]) -> Iterator[Finding]:
    names: dict[int, str] = {}
    for name, value in labels.items():
        declares = f"dataset.json declares the label {name!r} as {shown_json(value)}"
        numbers = [number for part in _parts(value) if (number := _as_int(part)) is not None]
        if name == IGNORE:
            continue  # judged with all values
        if len(numbers) < len(_parts(value)):
            yield _error(f"{declares}; expected a whole number, or a list of them for a region. Correct it.")
        elif not numbers:
            yield _warning(f"{declares}, a region without any value. Give its values, or remove it.")
        elif not all(type(part) is int for part in _parts(value)):
            yield _warning(f"{declares}, which nnU-Net takes for {listed(numbers)}. Write whole numbers.")
        elif len(numbers) == 1 and not _has_regions(labels):
            twin = names.setdefault(numbers[0], name)
            if twin != name:
                yield _warning(f"{declares}, like {twin!r}; nnU-Net learns one label. Renumber one.")


def _judge_background(labels: Mapping[str, Any]) -> Iterator[Finding]:
    expected = 'nnU-Net expects "background": 0'
    if BACKGROUND not in labels:
        names = ", ".join(map(repr, labels))
        yield _error(f"dataset.json declares the labels {names} without background; {expected}. Add it.")
    elif isinstance(labels[BACKGROUND], list) or _as_int(labels[BACKGROUND]) not in (0, None):
        yield _error(
            f'dataset.json has "background": {shown_json(labels[BACKGROUND])}; {expected}. '
            "Correct it, and the label maps if background is another value there."
        )


def _judge_values(labels: Mapping[str, Any]) -> Iterator[Finding]:
    numbers = [_as_int(part) for name, value in labels.items() if name != IGNORE for part in _parts(value)]
    values = sorted({0, *(number for number in numbers if number is not None)})
    if None in numbers:
        return
    ignore = labels.get(IGNORE)
    if ignore is not None and (not isinstance(ignore, int) or ignore != max(values) + 1):
        yield _error(
            f'dataset.json has "ignore": {shown_json(ignore)} beside the values {listed(values)}; nnU-Net '
            f'expects one whole number, the highest of all. Write "ignore": {len(values)}, and renumber the '
            "label maps."
        )
    used = sorted({*values, ignore} if isinstance(ignore, int) else values)
    if used != list(range(len(used))):
        yield _error(
            f"dataset.json declares the values {listed(used)}; nnU-Net expects 0, 1, 2, … without a gap. "
            "Renumber the labels there and in the label maps."
        )
    if values == [0] and len(labels) == 1:
        yield _error("dataset.json declares no label but background. Declare what is to be segmented.")


def _judge_regions(content: Mapping[str, Any], labels: Mapping[str, Any]) -> Iterator[Finding]:
    order = content.get(ORDER)
    if not _has_regions(labels):
        if order is not None:
            expected = "none without regions, and ignores it"
            yield refused(content, ORDER, expected=expected, remedy="Remove it.", level=WARNING)
        return
    regions = [name for name, value in labels.items() if name != IGNORE and not _is_background(value)]
    expected = (
        f"a list of {len(regions)} values, one to write for each of {', '.join(map(repr, regions))} in this "
        "order, where later ones cover earlier ones"
    )
    if not isinstance(order, list) or len(order) != len(regions) or not all(type(v) is int for v in order):
        yield refused(content, ORDER, expected=expected, remedy="Correct or add it.")
    elif unknown := sorted(
        set(order) - {_as_int(part) for value in labels.values() for part in _parts(value)}
    ):
        remedy = f"Correct it: no label has the value {listed(unknown)}."
        yield refused(content, ORDER, expected=expected, remedy=remedy, level=WARNING)


def _has_regions(labels: Mapping[str, Any]) -> bool:
    return any(isinstance(value, list) and len(value) > 1 for value in labels.values())


def _is_background(value: Any) -> bool:
    """Whether nnU-Net takes the value for background, which is no region."""
    return bool(_parts(value)) and all(part == 0 for part in _parts(value))


def _parts(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _as_int(value: Any) -> int | None:
    """Return the number that nnU-Net takes a value for, None where it fails."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _error(message: str) -> Finding:
    return Finding(ERROR, LABELS, message)


def _warning(message: str) -> Finding:
    return Finding(WARNING, LABELS, message)
