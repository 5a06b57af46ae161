"""SNOMED CT codes of the structures that the converted datasets label."""

import re
from dataclasses import dataclass

from pydicom.sr.coding import Code


@dataclass(frozen=True, kw_only=True)
class SegmentCode:
    """What a segment is: its category and type, the side, the region of the body it lies in, and a colour.

    `colour` is '#rrggbb', empty where the writer may choose.
    """

    category: Code
    type: Code
    modifier: Code | None = None
    region: Code | None = None
    colour: str = ""


def sct(value: str, meaning: str) -> Code:
    """Return a code of SNOMED CT."""
    return Code(value, "SCT", meaning)


# Category, type and side as in the published tables of dcmqi and TotalSegmentator, so that viewers that know
# these recognize the segments.
ANATOMY = sct("123037004", "Anatomical Structure")
ALTERED = sct("49755003", "Morphologically Altered Structure")
LEFT, RIGHT = sct("7771000", "Left"), sct("24028007", "Right")
PANCREAS = sct("15776009", "Pancreas")
KIDNEY, ADRENAL = sct("64033007", "Kidney"), sct("23451007", "Adrenal gland")
PRIMARY_NEOPLASM = sct("86049000", "Neoplasm, Primary")

ORGANS: dict[str, tuple[Code, Code | None]] = {
    "pancreas": (PANCREAS, None),
    "pancreatic duct": (sct("69930009", "Pancreatic duct"), None),
    "common bile duct": (sct("79741001", "Common bile duct"), None),
    "spleen": (sct("78961009", "Spleen"), None),
    "right kidney": (KIDNEY, RIGHT),
    "left kidney": (KIDNEY, LEFT),
    "kidney": (KIDNEY, None),
    "gallbladder": (sct("28231008", "Gallbladder"), None),
    "oesophagus": (sct("32849002", "Esophagus"), None),
    "liver": (sct("10200004", "Liver"), None),
    "stomach": (sct("69695003", "Stomach"), None),
    "duodenum": (sct("38848004", "Duodenum"), None),
    "colon": (sct("71854001", "Colon"), None),
    "aorta": (sct("15825003", "Aorta"), None),
    "inferior vena cava": (sct("64131007", "Inferior vena cava"), None),
    "portal and splenic vein": (sct("110765007", "Portal vein and splenic vein"), None),
    "right adrenal gland": (ADRENAL, RIGHT),
    "left adrenal gland": (ADRENAL, LEFT),
    "adrenal gland": (ADRENAL, None),
    "arteries": (sct("51114001", "Artery"), None),
    "veins": (sct("29092000", "Vein"), None),
    "right ventricle": (sct("53085002", "Right ventricle of heart"), None),
    "myocardium": (sct("74281007", "Myocardium"), None),
    "left ventricle": (sct("87878005", "Left ventricle of heart"), None),
}
# Each also with 'pancreas', 'pancreatic' or 'PDAC' before it. Metastases and cysts are not primary neoplasms.
LESIONS = ("tumour", "tumor", "lesion", "cancer", "carcinoma", "neoplasm", "mass")
SITES = ("", "pancreas ", "pancreatic ", "pdac ")
OTHER_NAMES = {
    "esophagus": "oesophagus",
    "gall bladder": "gallbladder",
    "ivc": "inferior vena cava",
    "postcava": "inferior vena cava",
    "portal vein and splenic vein": "portal and splenic vein",
    "portal and splenic veins": "portal and splenic vein",
    "pancreas parenchyma": "pancreas",
    "pancreatic parenchyma": "pancreas",
    "bile duct": "common bile duct",
    "artery": "arteries",
    "vein": "veins",
    "rv": "right ventricle",
    "myo": "myocardium",
    "lv": "left ventricle",
    "heart right ventricle": "right ventricle",
    "heart left ventricle": "left ventricle",
    "heart myocardium": "myocardium",
}


def _words(name: str) -> tuple[str, ...]:
    """Return the words of a name in alphabetical order, so that kidney_left is 'left kidney'."""
    return tuple(sorted(re.split(r"[\W_]+", name.casefold().strip())))


def _built_in() -> dict[tuple[str, ...], SegmentCode]:
    codes = {
        _words(name): SegmentCode(category=ANATOMY, type=type_, modifier=side)
        for name, (type_, side) in ORGANS.items()
    }
    for other, name in OTHER_NAMES.items():
        codes[_words(other)] = codes[_words(name)]
    neoplasm = SegmentCode(category=ALTERED, type=PRIMARY_NEOPLASM, region=PANCREAS)
    for name in (*(site + lesion for site in SITES for lesion in LESIONS), "pdac"):
        codes[_words(name)] = neoplasm
    return codes


BUILT_IN = _built_in()


def built_in_code(name: str) -> SegmentCode | None:
    """Return the code of a structure by its name, None if there is none.

    Capitals, the order of words and the signs between them do not matter.
    """
    return BUILT_IN.get(_words(name))
