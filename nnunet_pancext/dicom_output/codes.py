"""The code of each label of a model: from a file, from dataset.json, or built in."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydicom.sr.coding import Code

from nnunet_pancext.dicom_output.snomed import ANATOMY, PANCREAS, SegmentCode, built_in_code
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_json, shown_json

ENTRY = "segment_codes"  # in dataset.json
PRIVATE_SCHEME = "99PANCEXT"
SCHEMES = ("SCT", "SRT", "DCM", "FMA", "NCIt", "UMLS", "RADLEX", "LN", "UBERON")
CODES, OTHERS = ("category", "type", "modifier", "region"), ("colour",)
REQUIRED = ("category", "type")
MOST_CHARACTERS = (16, 16, 64)  # DICOM's limits of a code's value, scheme and meaning
MOST_SHOWN = 4  # labels in a template
EXAMPLE = '["15776009", "SCT", "Pancreas"]'


def read_codes(
    labels: Mapping[str, int | Sequence[int]],
    *,
    dataset_json: Mapping[str, Any],
    file: Path | None = None,
    allow_private: bool = False,
) -> dict[str, SegmentCode]:
    """Return the code of each label in the order of `labels`, without 'background' and 'ignore'.

    The entry of `file` comes first, then that under "segment_codes" in dataset.json, then what is built in.
    With `allow_private` any other label gets a code of this package's own scheme, 99PANCEXT, of which other
    programs understand only the name.

    Raises:
        PancextError: a file or entry is malformed, names a label that the model does not have, or a label has
            no code.
    """
    names = segment_names(labels)
    declared: dict[str, SegmentCode] = {}
    if ENTRY in dataset_json:
        where = f'"{ENTRY}" in dataset.json'
        declared.update(_parsed(dataset_json[ENTRY], names=names, where=where))
    if file is not None:
        declared.update(_parsed(_read_file(file), names=names, where=str(file)))
    codes = {name: declared.get(name) or built_in_code(name) for name in names}
    without = [name for name, code in codes.items() if code is None]
    if without and not allow_private:
        raise PancextError(_template(without))
    return {name: code or private_code(name, labels[name]) for name, code in codes.items()}


def segment_names(labels: Mapping[str, int | Sequence[int]]) -> list[str]:
    """Return the names of labels that become segments."""
    return [name for name, value in labels.items() if name not in ("background", "ignore") and value != 0]


def private_code(name: str, value: int | Sequence[int]) -> SegmentCode:
    """Return a code of this package's own scheme for a label that has none."""
    number = "_".join(map(str, [value] if isinstance(value, int) else value))
    meaning = re.sub(r"[\\\x00-\x1f\x7f]", " ", name)[: MOST_CHARACTERS[2]].strip() or "label"
    code = Code(f"LABEL_{number}"[: MOST_CHARACTERS[0]], PRIVATE_SCHEME, meaning)
    return SegmentCode(category=ANATOMY, type=code)


def _template(without: Sequence[str]) -> str:
    """Return the error for labels without code, with the file that gives them one."""
    shown = without[:MOST_SHOWN]
    listed = ", ".join(map(repr, shown))
    more = f" and {len(without) - MOST_SHOWN} more" if len(without) > MOST_SHOWN else ""
    entry = {"category": list(ANATOMY[:3]), "type": ["VALUE", "SCT", "MEANING"]}
    entries = ",\n".join(
        f"  {json.dumps(name, ensure_ascii=False)}: {json.dumps(entry, ensure_ascii=False)}" for name in shown
    )
    return (
        f"DICOM-SEG needs a code for each segment, and none is known for the label(s) {listed}{more}. Fill "
        f"in VALUE and MEANING, as in {EXAMPLE}, save it as codes.json and give --codes codes.json:\n"
        f"{{\n{entries}\n}}\n"
        'Optional are "modifier" and "region", codes too, and "colour", as in "#35d0ff". In place of {…} the '
        f'name of a known structure may stand, such as "{PANCREAS.meaning.casefold()}". '
        "Codes are found at https://browser.ihtsdotools.org. Or give --private-codes for codes that only "
        "this package knows."
    )


def _read_file(path: Path) -> Any:
    """Return the content of a file of codes; PancextError if it is no JSON object or names a label twice."""
    content = read_json(path, expect=dict, remedy="It should map names of labels to codes.")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        if doubled := [name for name in names if names.count(name) > 1]:
            raise PancextError(f"{path} holds {shown_json(doubled[0])} twice. Remove the wrong entry.")
        return dict(pairs)

    json.loads(path.read_bytes(), object_pairs_hook=unique)
    return content


def _parsed(content: Any, *, names: Sequence[str], where: str) -> dict[str, SegmentCode]:
    """Return the codes by label that `where` declares."""
    if not isinstance(content, dict):
        raise PancextError(
            f"{where} is {shown_json(content)}; expected codes by label, as in {_entry_example()}. "
            "Correct it."
        )
    codes = {}
    for name, entry in content.items():
        if name not in names:
            raise PancextError(
                f"{where} has a code for {shown_json(name)}, a label that the model does not have. It has "
                f"{', '.join(map(shown_json, names))}. Correct or remove the entry."
            )
        codes[name] = _segment_code(entry, where=f"{where} for the label {shown_json(name)}")
    return codes


def _segment_code(entry: Any, *, where: str) -> SegmentCode:
    """Return the code that a label's entry declares: an object, or the name of a known structure."""
    if isinstance(entry, str):
        if (known := built_in_code(entry)) is None:
            raise PancextError(
                f"{where}: no structure named {shown_json(entry)} is known. "
                f"Write its code out, as in {_entry_example()}."
            )
        return known
    if not isinstance(entry, dict):
        raise PancextError(
            f"{where}: expected an object, got {shown_json(entry)}. Write it as in {_entry_example()}."
        )
    if missing := [key for key in REQUIRED if key not in entry]:
        lacks = " and ".join(f'"{key}"' for key in missing)
        raise PancextError(f"{where}: {lacks} missing. Write it as in {_entry_example()}.")
    if unknown := [key for key in entry if key not in CODES + OTHERS]:
        keys = ", ".join(f'"{key}"' for key in CODES + OTHERS)
        raise PancextError(f"{where}: unknown key {shown_json(unknown[0])}. Known are {keys}. Correct it.")
    colour = entry.get("colour", "")
    if not isinstance(colour, str) or not re.fullmatch(r"(#[0-9a-fA-F]{6})?", colour):
        raise PancextError(f'{where}: "colour" is {shown_json(colour)}; expected one like "#35d0ff".')
    codes = {key: _code(entry[key], where=f'{where}, "{key}"') for key in CODES if key in entry}
    return SegmentCode(**codes, colour=colour.lower())


def _code(triple: Any, *, where: str) -> Code:
    """Return the code written as value, scheme and meaning."""
    is_triple = isinstance(triple, list) and len(triple) == 3
    if not is_triple or not all(isinstance(part, str) and part.strip() for part in triple):
        raise PancextError(
            f"{where}: expected value, scheme and meaning of a code, got {shown_json(triple)}. "
            f"Write it as in {EXAMPLE}."
        )
    value, scheme, meaning = (part.strip() for part in triple)
    if scheme not in SCHEMES and not re.fullmatch(r"99\w+", scheme):
        raise PancextError(
            f"{where}: unknown coding scheme {shown_json(scheme)}. Known are {', '.join(SCHEMES)}; "
            "a local scheme begins with 99."
        )
    if scheme == "SCT" and not re.fullmatch(r"[1-9]\d{5,17}", value):
        raise PancextError(
            f"{where}: {shown_json(value)} is not a SNOMED CT code, which is a number. Fill in the code."
        )
    for part, most in zip((value, scheme, meaning), MOST_CHARACTERS, strict=True):
        if len(part) > most or re.search(r"[\\\x00-\x1f\x7f]", part):
            raise PancextError(
                f"{where}: {shown_json(part)} is not valid in DICOM: at most {most} characters, without "
                "backslash and line breaks. Correct it."
            )
    return Code(value, scheme, meaning)


def _entry_example() -> str:
    """Return how a label's entry is written."""
    return f'{{"pancreas": {{"category": {json.dumps(list(ANATOMY[:3]))}, "type": {EXAMPLE}}}}}'
