"""The papers' figures: as printed, as documented, and consistent where the papers are."""

import re
from pathlib import Path

import pytest

from nnunet_pancext.architectures import AttentionUNet, count_parameters
from nnunet_pancext.reproduction.document import reproduction_document, table_lines
from nnunet_pancext.reproduction.papers import PAPERS
from nnunet_pancext.reproduction.papers.dlkunet import ACDC_RESULTS, ORGANS, SYNAPSE_RESULTS
from nnunet_pancext.reproduction.papers.pancreas_tumor_cascade import PANCREAS_RESULTS, TUMOUR_RESULTS
from nnunet_pancext.reproduction.protocol import STOCK, Column, Experiment, Paper, Row, Table
from nnunet_pancext.trainers import find_trainer

DOCS = Path(__file__).resolve().parents[2] / "docs"
NUMBER = re.compile(r"\d+(?:\.\d+)?")
TEXTS = {
    "segresnet-nl": "000_*.txt",
    "pancreas-tumor-cascade": "001_*.txt",
    "dlkunet": "002_*.txt",
    "attention-unet": "003_*.txt",
    "cdi-nstseg": "004_*.txt",
}
# Tables that the text has upright, a line for each column: the rows in the order of its lines.
UPRIGHT = {
    ("attention-unet", "Training Results"): (
        "Attention U-Net, the review's run",
        "Attention U-Net, as quoted",
    )
}
# Tables that the text has in a sentence on the dataset: its own figure first, those of others in brackets.
PROSE = {
    ("cdi-nstseg", "pancreatic tumours (PTD)"): "on PTD,",
    ("cdi-nstseg", "small-intestinal stromal tumours (SISD)"): "On SISD,",
}

EXPERIMENTS = [
    pytest.param(experiment, id=f"{name}-{experiment.dataset.layout}")
    for name, paper in PAPERS.items()
    for experiment in paper.experiments
]


def tables(paper: Paper) -> list[Table]:
    return [*(table for experiment in paper.experiments for table in experiment.tables), *paper.other_tables]


@pytest.mark.parametrize("paper", PAPERS.values(), ids=list(PAPERS))
def test_every_figure_is_in_the_papers_own_text(paper, shared_data):
    file = next((shared_data.parent / "papers").glob(TEXTS[paper.name]), None)
    if file is None:
        pytest.skip("the papers' texts are not part of the project")
    text = re.sub(r"</?b>", "", file.read_text(encoding="utf-8"))
    for table in tables(paper):
        if (paper.name, table.source) in UPRIGHT:
            assert_upright(table, text, order=UPRIGHT[paper.name, table.source])
        elif (paper.name, table.title) in PROSE:
            assert_in_prose(table, text, start=PROSE[paper.name, table.title])
        else:
            assert_in_lines(table, text)


def numbers(row: Row) -> list[str]:
    return [number for figure in row.figures for number in NUMBER.findall(figure)]


def assert_in_lines(table: Table, text: str) -> None:
    lines = [NUMBER.findall(line) for line in text.splitlines()]
    for row in table.rows:
        if wanted := numbers(row):
            runs = (line[start : start + len(wanted)] for line in lines for start in range(len(line)))
            assert wanted in runs, (table.source, row.method)


def assert_upright(table: Table, text: str, *, order: tuple[str, ...]) -> None:
    by_method = {row.method: row.figures for row in table.rows if any(row.figures)}
    assert sorted(by_method) == sorted(order)
    for at, column in enumerate(table.columns):
        wanted = [number for method in order for number in NUMBER.findall(by_method[method][at])]
        word = column.title.split(",")[0].split()[-1].lower()
        lines = [line for line in text.splitlines() if word in line.lower()]
        assert any(NUMBER.findall(line)[-len(wanted) :] == wanted for line in lines), column.title


def assert_in_prose(table: Table, text: str, *, start: str) -> None:
    sentence = text[text.index(start) :].split("%).")[0] + "%)."
    *others, own = table.rows
    assert NUMBER.search(sentence)[0] == own.figures[0]
    for row in others:
        assert f"{row.method} ({row.figures[0]}%)" in sentence


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_trainer_of_a_protocol_is_found_by_name(experiment: Experiment):
    for name in experiment.trainers:
        assert name == STOCK or find_trainer(name).__name__ == name


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_the_main_trainer_comes_first_and_stock_nnunet_second(experiment: Experiment):
    assert experiment.trainers[:2] == (experiment.main, STOCK)
    assert len(set(experiment.trainers)) == len(experiment.trainers)


def test_the_papers_recipes_are_taken_where_there_are_some():
    for paper in PAPERS.values():
        for experiment in paper.experiments:
            recipe = getattr(find_trainer(experiment.main.split("_")[0]), "paper_recipe", None)
            assert ("_PaperRecipe" in experiment.main) == (recipe is not None)


def test_no_two_datasets_share_a_number():
    datasets = {experiment.dataset for paper in PAPERS.values() for experiment in paper.experiments}
    assert (
        len({dataset.dataset_id for dataset in datasets})
        == len({dataset.folder for dataset in datasets})
        == len(datasets)
    )


def test_the_page_is_generated_from_the_data():
    assert (DOCS / "reproduction.md").read_text(encoding="utf-8") == reproduction_document()


def test_the_page_has_every_figure_of_every_table():
    page = (DOCS / "reproduction.md").read_text(encoding="utf-8").splitlines()
    for paper in PAPERS.values():
        for table in tables(paper):
            for row in table.rows:
                cells = [row.method, *(figure or "–" for figure in row.figures)]  # noqa: RUF001
                assert any(line.startswith(f"| {' | '.join(cells)} |") for line in page), row


@pytest.mark.parametrize(
    ("page", "figures"),
    [
        ("segresnet_nl.md", "87.83 88.84 89.20 89.81 91.51 91.97 91.30 91.85 91.78 92.11 0.976"),
        (
            "pancreas_tumor_cascade.md",
            "0.5924 0.6824 0.9988 0.4913 0.5234 0.5319 0.5533 0.5651 0.8763 0.9126",
        ),
        ("dlkunet.md", "79.74 80.82 81.21 28.95 22.78 13.89 91.71 91.74 91.93"),
        ("attention_unet.md", "81.5 6.8 9.3 83.5 5.7 2.33 0.86"),
        ("cdi_nstseg.md", "57.64 49.13 58.37 48.62"),
    ],
)
def test_the_pages_on_the_networks_quote_the_same_figures(page, figures):
    quoted = NUMBER.findall((DOCS / page).read_text(encoding="utf-8"))
    here = NUMBER.findall((DOCS / "reproduction.md").read_text(encoding="utf-8"))
    assert set(figures.split()) <= set(quoted) & set(here)


@pytest.mark.parametrize("table", [SYNAPSE_RESULTS, ACDC_RESULTS], ids=lambda table: table.source)
def test_dlkunets_means_are_those_of_its_structures_but_for_the_row_that_is_reported(table):
    count = len(ORGANS) if table is SYNAPSE_RESULTS else 3
    dice = [column.title for column in table.columns].index("Dice, %")
    differing = {}
    for row in table.rows:
        parts = [float(figure) for figure in row.figures[-count:]]
        if abs(sum(parts) / count - float(row.figures[dice])) > 0.05:
            differing[row.method] = f"{sum(parts) / count:.2f}"
    assert differing == ({"R50 U-Net": "77.61"} if table is SYNAPSE_RESULTS else {})


def test_the_impossible_rows_are_those_that_the_page_names():
    """Dice is 2PR / (P + R), so at most 2R / (1 + R), and that is concave: it holds for means too."""
    impossible = {
        row.method: f"{2 * float(row.figures[1]) / (1 + float(row.figures[1])):.3f}"
        for table in (TUMOUR_RESULTS, PANCREAS_RESULTS)
        for row in table.rows
        if float(row.figures[0]) > 2 * float(row.figures[1]) / (1 + float(row.figures[1]))
    }
    assert impossible == {"U-Net": "0.678", "Fixed-point": "0.773"}
    note = PAPERS["pancreas-tumor-cascade"].limits[0]
    assert all(bound in note for bound in impossible.values())


def test_the_notes_on_dlkunets_recipe_and_att_u_net_are_true():
    paper = PAPERS["dlkunet"]
    (rate,) = (note for note in paper.limits if "learning rate" in note)
    assert f"from {1e-3 * 0.1 ** (199 // 20):.0e}. It is multiplied by 0.9" in rate
    synapse = paper.experiments[0]
    (network,) = (note for note in synapse.differences if note.startswith("Att-U-Net"))
    parameters = count_parameters(AttentionUNet(spatial_dims=2, in_channels=1, num_classes=9))
    assert f"has {parameters / 1e6:.2f} M in 2D" in network
    (row,) = (row for row in SYNAPSE_RESULTS.rows if row.trainer == "AttentionUNetTrainer")
    assert f"the paper's has {row.figures[0]} M" in network


def test_the_note_on_segresnets_definitions_is_true(shared_data):
    (note,) = (note for note in PAPERS["segresnet-nl"].limits if "TN" in note)
    assert "the first TN, pixels accurately predicted as positive, must be TP" in note
    file = next((shared_data.parent / "papers").glob(TEXTS["segresnet-nl"]), None)
    if file is None:
        pytest.skip("the papers' texts are not part of the project")
    text = file.read_text(encoding="utf-8")
    assert "TN represents pixels accurately predicted as positive" in text
    assert "TN indicates pixels correctly predicted as negative" in text


def test_a_row_with_a_figure_too_few_is_refused():
    with pytest.raises(ValueError, match="Table 9, a method: 1 figures"):
        Table(
            source="Table 9",
            title="",
            columns=(Column(title="Dice"), Column(title="recall")),
            rows=(Row(method="a method", figures=("0.5",)),),
        )


def test_a_table_without_trainers_has_no_column_for_them():
    table = Table(
        source="Table 9",
        title="two methods",
        columns=(Column(title="Dice"),),
        rows=(Row(method="one", figures=("0.5",)), Row(method="other", figures=("",))),
    )
    assert table_lines(table) == [
        "Table 9: two methods.",
        "",
        "| method | Dice |",
        "| --- | --- |",
        "| one | 0.5 |",
        "| other | – |",  # noqa: RUF001
    ]
