"""The cells of a comparison's tables, shared by console, page and LaTeX."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from nnunet_pancext.comparison.compare import Comparison
from nnunet_pancext.comparison.cost import Cost
from nnunet_pancext.comparison.paired import Row
from nnunet_pancext.comparison.statistics import Interval
from nnunet_pancext.evaluation.scores import METRICS, SummaryStatistics
from nnunet_pancext.pages.numbers import UNDEFINED

INFINITE = "\N{INFINITY}"

DESCRIPTION_HEADINGS = ["n", "mean ± SD", "95 % CI", "median"]
DIFFERENCE_HEADINGS = ["difference", "95 % CI", "p Holm", "r", "win/tie/loss"]
COST_HEADINGS = ["parameters, M", "GMAC", "epochs", "s/epoch", "h/fold", "peak GB", "device"]
# Column, unit and decimals of each number.
COST_COLUMNS = (
    ("parameters", 1e6, 2),
    ("multiply_adds", 1e9, 1),
    ("epochs", 1, 0),
    ("seconds_per_epoch", 1, 1),
    ("hours", 1, 2),
    ("peak_gb", 1, 2),
)
COST_MEANING = (
    "Parameters exclude deep supervision heads. GMAC: 10^9 multiply-adds of convolutions and matrix products "
    "for one patch forward. s/epoch: median over all epochs; h/fold: mean over the folds."
)


def short_names(comparison: Comparison) -> dict[str, str]:
    """Return the trainers by name without the suffixes that all share."""
    cut = len(_shared_suffix(comparison.scored.models))
    return {model: model[: len(model) - cut] for model in comparison.scored.models}


def omitted_text(comparison: Comparison) -> str:
    """Say what the short names omit; empty if nothing."""
    suffix = _shared_suffix(comparison.scored.models)
    return f"All trainers have the suffix {suffix}, which their names here omit." if suffix else ""


def _shared_suffix(models: list[str]) -> str:
    """Return the parts from an underscore on that all names end with; the first part never counts."""
    endings = (model.split("_")[:0:-1] for model in models) if len(models) > 1 else ()
    shared = takewhile(lambda parts: len(set(parts)) == 1, zip(*endings, strict=False))
    return "".join(f"_{parts[0]}" for parts in reversed(list(shared)))


def value_text(value: float, metric: str, *, signed: bool = False) -> str:
    """Format a value with three decimals, one with a unit with two; nan as a dash."""
    if math.isnan(value):
        return UNDEFINED
    if math.isinf(value):
        return INFINITE if value > 0 else f"-{INFINITE}"
    decimals = 2 if metric.endswith(("_mm", "_ml")) else 3
    text = f"{value:{'+' if signed else ''}.{decimals}f}"
    return text.lstrip("-+") if float(text) == 0 else text


def interval_text(interval: Interval, metric: str, *, signed: bool = False) -> str:
    """Format an interval; an undefined one as a dash."""
    if math.isnan(interval[0]):
        return UNDEFINED
    low, high = (value_text(end, metric, signed=signed) for end in interval)
    return f"{low} to {high}"


def infinite_text(number: int) -> str:
    """Return the suffix of a mean that excludes infinite values; empty if it excludes none."""
    return f" (+{number} {INFINITE})" if number else ""


def mean_text(spread: SummaryStatistics, metric: str) -> str:
    """Format mean, standard deviation and number of infinite values; a single case has no deviation."""
    text = value_text(spread.mean, metric)
    if not math.isnan(spread.sd):
        text += f" ± {value_text(spread.sd, metric)}"
    return text + infinite_text(spread.infinite)


def n_text(row: Row) -> str:
    """Return the number of cases with a value, and of those in the difference if that is another one."""
    paired = row.difference
    return f"{row.spread.n} ({paired.pairs} paired)" if paired and paired.is_partial else str(row.spread.n)


def numbers_text(numbers: Sequence[int]) -> str:
    """Return a number of cases once if it is the same everywhere, else all of them."""
    texts = list(map(str, numbers))
    return texts[0] if len(set(texts)) == 1 else " / ".join(texts)


def description_cells(row: Row) -> list[str]:
    """Return the cells below `DESCRIPTION_HEADINGS`."""
    return [
        n_text(row),
        mean_text(row.spread, row.metric),
        interval_text(row.interval, row.metric),
        value_text(row.spread.median, row.metric),
    ]


def difference_cells(row: Row) -> list[str]:
    """Return the cells below `DIFFERENCE_HEADINGS`; none for a row without a difference.

    The mean difference is followed by the number of infinite pairs that it excludes.
    """
    if (difference := row.difference) is None:
        return []
    r = difference.rank_biserial
    return [
        value_text(difference.mean, row.metric, signed=True) + infinite_text(difference.infinite),
        interval_text(difference.interval, row.metric, signed=True),
        p_text(difference.p_holm),
        UNDEFINED if math.isnan(r) else "0.00" if r == 0 else f"{r:+.2f}",
        f"{difference.wins}/{difference.ties}/{difference.losses}",
    ]


def verdict(row: Row) -> str:
    """Summarize the difference to the reference. Its direction is that of r: a mean excludes infinity."""
    if row.difference is None:
        return ""
    change, _, p, r, _ = difference_cells(row)
    return "no pair of cases" if math.isnan(row.difference.p) else f"{change}, p {p}, r {r}"


def worst_text(comparison: Comparison, model: str, label: str, *, number: int, value: str = "({})") -> str:
    """List the worst cases of a model by the first metric, each with its value; a dash if there are none."""
    metric = comparison.metrics[0]
    worst = comparison.scored.worst_cases(model, label, metric)[:number]
    return (
        ", ".join(f"{case} {value.format(value_text(score, metric))}" for case, score in worst) or UNDEFINED
    )


def best_models(comparison: Comparison, label: str, metric: str) -> list[str]:
    """Return the models of the best mean; none where all are equal or means exclude different cases.

    A model that misses lesions may have the smallest mean distance over those that it detected.
    """
    rows = [comparison.row(model, label, metric) for model in comparison.scored.models]
    is_higher_better = METRICS[metric].higher_is_better
    unpaired = any(row.difference and row.difference.is_partial for row in rows)
    if is_higher_better is None or unpaired or any(row.spread.infinite or not row.spread.n for row in rows):
        return []
    best = (max if is_higher_better else min)(row.spread.mean for row in rows)
    models = [row.model for row in rows if row.spread.mean == best]
    return models if len(models) < len(rows) else []


def p_text(p: float) -> str:
    """Format p with three decimals, or as <0.001; a dash where nothing was tested."""
    if math.isnan(p):
        return UNDEFINED
    return "<0.001" if p < 0.001 else f"{p:.3f}"


@dataclass(frozen=True, kw_only=True)
class Group:
    """One metric of one label in a subset of the cases, by model."""

    label: str
    metric: str
    title: str
    spreads: dict[str, SummaryStatistics] = field(default_factory=dict)

    @property
    def n_text(self) -> str:
        """The number of cases, of each model where it differs."""
        return numbers_text([spread.n for spread in self.spreads.values()])


def fold_groups(comparison: Comparison) -> list[Group]:
    """Return the metrics of the tables in each fold."""
    return _grouped(comparison, [(row, f"fold {row.fold}") for row in comparison.by_fold])


def size_groups(comparison: Comparison) -> list[Group]:
    """Return the metrics of the tables by true size."""
    return _grouped(comparison, [(row, row.stratum) for row in comparison.strata])


def _grouped(comparison: Comparison, rows: Sequence[tuple[Row, str]]) -> list[Group]:
    """Group rows with their titles by label and metric, in the order of the tables."""
    labels, metrics = comparison.scored.labels, comparison.metrics
    groups: dict[tuple[str, str, str], Group] = {}
    for row, title in rows:
        if row.metric in metrics:
            empty = Group(label=row.label, metric=row.metric, title=title)
            groups.setdefault((row.label, row.metric, title), empty).spreads[row.model] = row.spread
    return sorted(groups.values(), key=lambda group: (labels.index(group.label), metrics.index(group.metric)))


def cost_cells(cost: Cost) -> list[str]:
    """Return the cells below `COST_HEADINGS`."""
    numbers = [
        UNDEFINED if isinstance(value := getattr(cost, column), str) else f"{value / unit:.{decimals}f}"
        for column, unit, decimals in COST_COLUMNS
    ]
    return [*numbers, cost.device or UNDEFINED]


def cost_reasons(comparison: Comparison, names: Mapping[str, str] | None = None) -> list[str]:
    """Explain the dashes of the cost table, each reason once with its models."""
    titles = {"parameters": "parameters", "multiply_adds": "GMAC", "epochs": "time", "peak_gb": "peak"}
    models: dict[str, dict[str, list[str]]] = {}  # by columns and by reason
    for cost in comparison.costs:
        columns: dict[str, list[str]] = {}  # by reason
        for column, title in titles.items():
            if isinstance(value := getattr(cost, column), str):
                columns.setdefault(value, []).append(title)
        for reason, dashes in columns.items():
            by_reason = models.setdefault(", ".join(dashes), {})
            by_reason.setdefault(reason, []).append(names[cost.model] if names else cost.model)
    return [
        f"{UNDEFINED} in {dashes}: {reason} ({', '.join(without)})"
        for dashes, by_reason in models.items()
        for reason, without in by_reason.items()
    ]
