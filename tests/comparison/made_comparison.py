"""Comparisons made of given scores, and what the writers make of them."""

import math
import re
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from nnunet_pancext.comparison.compare import Comparison
from nnunet_pancext.comparison.cost import Cost
from nnunet_pancext.comparison.output.latex import write_comparison_latex
from nnunet_pancext.comparison.output.page import write_comparison_page
from nnunet_pancext.comparison.paired import compare_rows, fold_rows
from nnunet_pancext.comparison.remarks import statistics_remarks
from nnunet_pancext.comparison.scored_cases import ScoredCases
from nnunet_pancext.comparison.strata import default_stratifications, stratum_rows
from nnunet_pancext.evaluation.scores import CaseScores, LabelScores

NAN, INF = math.nan, math.inf
DASH = "\N{EN DASH}"
BETTER, WORSE = "Better_50epochs", "nnUNetTrainer"


def cost(model: str, **known: float) -> Cost:
    unknown = dict.fromkeys(("parameters", "multiply_adds", "epochs"), "not here")
    rest = dict.fromkeys(("seconds_per_epoch", "hours", "peak_gb"), "not here")
    return Cost(**{"model": model, "device": "", **unknown, **rest, **known})


def comparison(models=(WORSE, BETTER), label="tumour", **changes) -> Comparison:
    """Twelve cases; the second model is better in each, and misses the lesion of the last one."""
    dice = np.linspace(0.3, 0.85, 12)
    values = {
        models[0]: {"dice": dice, "hd95_mm": [4.0] * 12},
        models[1]: {"dice": dice + 0.1, "hd95_mm": [3.0] * 11 + [INF]},
    }
    costs = [cost(models[0], parameters=31_000_000, hours=12.0), cost(models[1])]
    return compared(values, label=label, **{"remarks": ["Look here first."], "costs": costs, **changes})


def compared(values, *, label="tumour", **changes) -> Comparison:
    """A comparison of models with the given values of each metric, case by case, in two folds."""
    models, metrics = list(values), list(next(iter(values.values())))
    number = len(values[models[0]][metrics[0]])
    names = tuple(f"case_{index:02d}" for index in range(number))
    scores = {
        model: [
            CaseScores(
                case=case,
                labels={
                    label: LabelScores(
                        **{metric: column[index] for metric, column in columns.items()},
                        truth_volume_ml=index / 2,
                    )
                },
            )
            for index, case in enumerate(names)
        ]
        for model, columns in values.items()
    }
    folds = tuple(0 if index < number / 2 else 1 for index in range(number))
    scored = ScoredCases(cases=names, folds=folds, patients=names, scores=scores)
    cuts = default_stratifications(scored, dataset_json={"labels": {"background": 0, label: 1}})
    rows = compare_rows(scored, reference=models[0], family=metrics, seed=0, resamples=200)
    made = Comparison(
        dataset="Dataset007_Pancreas",
        setting="nnUNetPlans 3d_fullres",
        reference=models[0],
        folds=[0, 1],
        metrics=metrics,
        scored=scored,
        rows=rows,
        by_fold=fold_rows(scored, [0, 1]),
        strata=stratum_rows(scored, cuts, metrics),
        costs=[cost(model) for model in models],
        remarks=statistics_remarks(
            scored, rows, reference=models[0], family=metrics, folds=[0, 1], num_folds=2
        ),
        no_probabilities="No trainer has probabilities.",
        seed=0,
        resamples=200,
    )
    return replace(made, **changes)


def missed_lesions() -> Comparison:
    """B misses 14 of 20 lesions and is nearer in the six that it finds."""
    far = np.linspace(8, 14, 20)
    return compared({"A": {"hd95_mm": far}, "B": {"hd95_mm": [*(far[:6] - 3), *[INF] * 14]}})


def false_lesions() -> Comparison:
    """Seven cases with a lesion and eight without, in each of which B finds one all the same."""
    dice = np.linspace(0.5, 0.75, 7)
    return compared({"A": {"dice": [*dice, *[NAN] * 8]}, "B": {"dice": [*(dice + 0.05), *[0.0] * 8]}})


class Page(HTMLParser):
    """Checks that elements nest, and collects texts and tags."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text, self.tags = "", []
        self.feed(content)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("meta", "wbr", "input", "br", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def charts_of(content: str) -> list[str]:
    """The SVG of each chart on a page."""
    return [
        b64decode(chart).decode() for chart in re.findall(r"data:image/svg\+xml;base64,([^\"]+)", content)
    ]


def page(tmp_path: Path, one: Comparison) -> str:
    write_comparison_page(tmp_path / "page.html", one)
    return (tmp_path / "page.html").read_text(encoding="utf-8")


def latex(tmp_path: Path, one: Comparison) -> str:
    write_comparison_latex(tmp_path / "table.tex", one)
    return (tmp_path / "table.tex").read_text(encoding="utf-8")
