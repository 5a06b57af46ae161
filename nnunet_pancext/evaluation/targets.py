"""What is scored: labels, regions and the ignore label, as `dataset.json` declares them."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

from nnunet_pancext.errors import PancextError
from nnunet_pancext.nnunet_files.dataset_json import label_values

FOREGROUND = "foreground"
IGNORE = "ignore"


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Label values of all scored targets by name, and the value that is ignored.

    `declared` are the names in `dataset.json`. If they are several labels, `regions` starts with their union,
    'foreground'. `nnunet_keys` are the names of the declared targets in nnU-Net's summary.json.
    """

    regions: dict[str, tuple[int, ...]]
    declared: tuple[str, ...]
    ignore: int | None
    has_regions: bool
    nnunet_keys: dict[str, str]

    @property
    def values(self) -> set[int]:
        """Every value that a label map may hold."""
        ignored = set() if self.ignore is None else {self.ignore}
        return {0, *ignored, *(value for values in self.regions.values() for value in values)}

    @property
    def num_channels(self) -> int:
        """Channels of nnU-Net's probabilities: one per region, or one per label and the background."""
        return len(self.declared) + (not self.has_regions)

    def channels(self, name: str) -> list[int]:
        """Return the channels of nnU-Net's probabilities whose sum is the probability of a target."""
        if self.has_regions:
            return [self.declared.index(name)]
        labels = (name,) if name in self.declared else self.declared
        return [1 + self.declared.index(label) for label in labels]


def read_targets(labels: Mapping[str, int | list[int]]) -> Targets:
    """Return the targets of the `labels` of a `dataset.json`: names to values, or to lists for regions.

    Raises:
        PancextError: there is no foreground label, one is neither a whole number nor a list of them, or one
            of several is called 'foreground'.
    """
    values = label_values(labels)
    ignore = values.pop(IGNORE, (None,))[0]
    values = {name: several for name, several in values.items() if several != (0,)}
    if not values:
        raise PancextError(f"No foreground label among {dict(labels)}. Declare at least one value above 0.")
    has_regions = any(len(several) > 1 for several in values.values())
    if not has_regions:
        values = dict(sorted(values.items(), key=lambda item: item[1]))
    union = {}
    if len(values) > 1 and not has_regions:
        if FOREGROUND in values:
            raise PancextError(
                f"Label {FOREGROUND!r} = {values[FOREGROUND][0]} has the name of the union of all labels. "
                "Rename it."
            )
        union = {FOREGROUND: tuple(chain.from_iterable(values.values()))}
    # nnU-Net treats a list of one value, [2], as the region (2,) among other regions, else as the label 2.
    keys = {
        name: str(several if has_regions and isinstance(labels[name], (list, tuple)) else several[0])
        for name, several in values.items()
    }
    return Targets(
        regions={**union, **values},
        declared=tuple(values),
        ignore=ignore,
        has_regions=has_regions,
        nnunet_keys=keys,
    )
