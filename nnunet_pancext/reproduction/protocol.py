"""What a paper's protocol consists of: datasets, tables of figures, and a trainer for each row."""

from dataclasses import dataclass
from typing import Any

STOCK = "nnUNetTrainer"
NNUNET_FOLDS = 5
WHOLE_TRAINING_SET = ("all",)
SCALE_AND_DECIMALS = {False: (1, 4), True: (100, 2)}  # by whether it is in percent


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A download and its conversion."""

    layout: str  # of `pancext convert`, and the dataset's name on the command line
    title: str
    downloads: tuple[str, ...]  # names of the converter's sources, in order
    dataset_id: int
    name: str
    split: str
    labels: str  # as the conversion report calls them
    options: tuple[str, ...] = ()
    own_folds: int = 0  # that the split defines; 0 where nnU-Net creates its five

    @property
    def folder(self) -> str:
        """The folder's name in nnU-Net."""
        return f"Dataset{self.dataset_id:03d}_{self.name}"


@dataclass(frozen=True)
class Column:
    """A column of a paper's table, and where `summary.json` has our value.

    `where` is a path of keys below a label, such as 'per_slice.slice_dice'; empty where the evaluation has no
    such value. Several `labels` are averaged. `has_spread` adds the standard deviation over the cases.
    """

    title: str
    where: str = ""
    labels: tuple[str, ...] = ()
    scale: float = 1
    decimals: int = 2
    has_spread: bool = False


def per_slice(title: str, metric: str, label: str, *, percent: bool = False) -> Column:
    """Return a mean over the slices that contain the label."""
    return Column(title, f"per_slice.{metric}", (label,), *SCALE_AND_DECIMALS[percent])


def per_volume(title: str, metric: str, *labels: str, percent: bool = False) -> Column:
    """Return a mean over the cases, and over several labels."""
    return Column(title, f"per_volume.{metric}.mean", labels, *SCALE_AND_DECIMALS[percent])


@dataclass(frozen=True)
class Row:
    """A method: its figures as printed ('' for none) and the trainer that reproduces it here."""

    method: str
    figures: tuple[str, ...]
    trainer: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Figures of a paper; `source` is the place in it."""

    source: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.figures) != len(self.columns):
                raise ValueError(f"{self.source}, {row.method}: {len(row.figures)} figures")


def table(source: str, title: str, columns: tuple[Column, ...], *rows: Any) -> Table:
    """Return a table from rows (method, figures) or (method, figures, trainer).

    Figures are a string that spaces divide, or a tuple; '' where the paper prints none for the method.
    """
    parsed = []
    for method, figures, *trainer in rows:
        if isinstance(figures, str):
            figures = tuple(figures.split()) or ("",) * len(columns)
        parsed.append(Row(method, figures, *trainer))
    return Table(source=source, title=title, columns=columns, rows=tuple(parsed))


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Trainings on one dataset whose results are compared with a paper's tables.

    `main` is trained first, then stock nnU-Net, then the other rows. `further` columns are ours alone.
    `probabilities` are kept where a column needs them. `differences` from the paper are listed below results.
    """

    dataset: Dataset
    configuration: str
    main: str
    tables: tuple[Table, ...]
    differences: tuple[str, ...]
    folds: tuple[str, ...] = WHOLE_TRAINING_SET
    further: tuple[Column, ...] = ()
    probabilities: bool = False

    @property
    def trainers(self) -> tuple[str, ...]:
        """All trainers, in the order of their training."""
        named = [row.trainer for table in self.tables for row in table.rows if row.trainer]
        return tuple(dict.fromkeys((self.main, STOCK, *named)))


@dataclass(frozen=True, kw_only=True)
class Paper:
    """A paper by its name on the command line."""

    name: str
    title: str
    hardware: str
    experiments: tuple[Experiment, ...]
    limits: tuple[str, ...]  # what cannot be reproduced, and why
    other_tables: tuple[Table, ...] = ()  # whose figures no trainer here reproduces
