"""What is scored: labels, regions of several values, and what is ignored, as `dataset.json` declares them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nnunet_pancext.errors import PancextError

FOREGROUND = "foreground"
IGNORE = "ignore"


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Label values of everything that is scored, by name, and the value that is left out of all scores.

    `declared` are the names of `dataset.json`; `regions` holds besides 'foreground', their union, first
    where there are several labels. `channels` gives the channels of nnU-Net's probabilities whose sum is the
    probability of the target, `nnunet_keys` what nnU-Net's summary.json calls the declared ones.
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
        """Channels whose sum is the probability of a target."""
        if self.has_regions:
            return [self.declared.index(name)]
        wanted = self.declared if name not in self.declared else (name,)
        return [1 + self.declared.index(one) for one in wanted]


def read_targets(labels: Mapping[str, int | list[int]]) -> Targets:
    """Read the `labels` of a `dataset.json`: names to values, or to lists of values for regions.

    Raises:
        PancextError: there is no foreground label, one is not a whole number or a list of them, or
            'foreground' is the name of one among several.
    """
    values: dict[str, tuple[int, ...]] = {}
    listed = set()
    ignore = None
    for name, value in labels.items():
        several = tuple(value) if isinstance(value, (list, tuple)) else (value,)
        if not several or not all(isinstance(one, int) and not isinstance(one, bool) for one in several):
            raise PancextError(
                f"Label {name!r} = {value!r} is neither a whole number nor a list of them. "
                "Correct dataset.json."
            )
        if name == IGNORE:
            ignore = several[0]
        elif several != (0,):
            values[str(name)] = several
            if value != several[0]:
                listed.add(str(name))
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
        union = {FOREGROUND: tuple(one for several in values.values() for one in several)}
    # A list of one value, [2], is the region (2,) to nnU-Net among other regions, and the label 2 else.
    keys = {
        name: str(several if has_regions and name in listed else several[0])
        for name, several in values.items()
    }
    return Targets(
        regions={**union, **values},
        declared=tuple(values),
        ignore=ignore,
        has_regions=has_regions,
        nnunet_keys=keys,
    )
