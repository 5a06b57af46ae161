"""Which labels of a model are lesions, as requested or by their names."""

import re
from collections.abc import Sequence

from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.targets import Targets

LESION_WORDS = frozenset(
    ("adenocarcinoma", "cancer", "carcinoma", "cyst", "gtv", "hcc", "ipmn", "lesion", "malignancy", "mass",
     "mcn", "met", "metastasis", "metastases", "neoplasia", "neoplasm", "net", "nodule", "pannet", "pdac",
     "pnet", "sarcoma", "tumor", "tumour")
)  # fmt: skip
# "pancreas and tumour" and "pancreas without tumour" are not lesions, "cyst and tumour" is.
JOINING_WORDS = frozenset(("and", "plus", "incl", "including", "with", "no", "not", "without"))
JOINING_SIGNS = re.compile(r"[+&/]")
CAMEL_CASE = re.compile(r"(?<=[a-z]{2})(?=[A-Z])")  # PancreasTumour, not pNET


def lesion_labels_of(targets: Targets, named: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the `named` labels or regions, or, if that is None, those whose names mean lesions.

    A name means a lesion if one of its words does (tumour, cancer, cyst, PDAC, ...), in any case, in the
    singular or plural, and, where it joins several names, if each of them does.

    Raises:
        PancextError: a named label is not declared.
    """
    if named is None:
        return tuple(name for name in targets.declared if _means_lesion(name))
    unknown = [name for name in named if name not in targets.declared]
    if unknown:
        raise PancextError(
            f"There is no label {', '.join(map(repr, unknown))}; the model has "
            f"{', '.join(map(repr, targets.declared))}. Name lesion labels as its dataset.json does."
        )
    return tuple(dict.fromkeys(named))


def _means_lesion(name: str) -> bool:
    parts: list[list[str]] = [[]]
    for word in re.findall(r"[a-z]+|\+", JOINING_SIGNS.sub("+", CAMEL_CASE.sub(" ", name)).casefold()):
        if word == "+" or word in JOINING_WORDS:
            parts.append([])
        else:
            parts[-1].append(word)
    return all(any(_singulars(word) & LESION_WORDS for word in part) for part in parts)


def _singulars(word: str) -> set[str]:
    return {word, word.removesuffix("s"), word.removesuffix("es")}
