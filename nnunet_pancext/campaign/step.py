"""A step of a campaign: what it needs, what it runs, and how its result is recognised as whole."""

import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, get_args

from nnunet_pancext.campaign.settings import Settings
from nnunet_pancext.errors import PancextError
from nnunet_pancext.modules import classes_of, import_modules

if TYPE_CHECKING:
    from nnunet_pancext.campaign.measured import Measured

KINDS = "nnunet_pancext.campaign.kinds"
ENTRY_POINTS = "nnunet_pancext.campaign_kinds"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,149}")
OF_EVERY_STEP = ("name", "needs")
DEVICES = ("cuda", "cpu", "mps")
# Entries that become parts of paths.
NAMES = (
    "dataset",
    "source",
    "trainer",
    "plans",
    "configuration",
    "configurations",
    "fold",
    "folds",
    "models",
)
WANTED = {str: 'a text in "quotes"', int: "a whole number", float: "a number", bool: "true or false"}
Progress = Callable[[str], str | None]


@dataclass(frozen=True, kw_only=True)
class Step:
    """Base of all kinds of steps; its fields are the step's entries in `campaign.toml`.

    A subclass is a frozen dataclass in a module of `campaign.kinds`, with `kind` as its name in the file. Its
    fields are of type str, int, float, bool, or a tuple of one of them. nnU-Net's three variables are set to
    the campaign's folders wherever a method is called; a relative path is below the campaign's folder.
    """

    kind: ClassVar[str]
    uses_gpu: ClassVar[bool] = False

    name: str
    needs: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """A short description for messages, e.g. 'train SegResNetNLTrainer, fold 0'."""
        raise NotImplementedError

    def result(self, folder: Path) -> Path:
        """Return the file or folder that the step makes; `folder` is the campaign's."""
        raise NotImplementedError

    def page(self, folder: Path) -> Path:
        """Return the file or folder that shows the result to a user."""
        return self.result(folder)

    def written_folder(self, folder: Path) -> Path | None:
        """Return the folder that nothing else may write while the step runs; None where there is none."""
        return None

    def is_done(self, folder: Path) -> bool:
        """Whether all outputs are there, whole, and not older than what they were made from.

        PancextError where they belong to something else, e.g. a dataset that was converted differently.
        """
        raise NotImplementedError

    def command(self, folder: Path) -> list[str]:
        """Return the command without its program's path: a console script beside this Python, and arguments.

        `worker` gives that of a module in `campaign.workers`.
        """
        raise NotImplementedError

    def prepare(self, folder: Path) -> list[str]:
        """Called before the command runs: remove broken outputs and return further arguments, such as --c."""
        return []

    def set_aside(self, folder: Path) -> None:
        """Move the outputs away, so that the step is made anew; nothing is deleted."""
        from nnunet_pancext.campaign.set_aside import set_aside

        set_aside(self.result(folder))

    def progress(self) -> Progress | None:
        """Return what turns a line of the command's output into a line for the console, or None."""
        return None

    def measured(self, folder: Path) -> "Measured | None":
        """Return the step's progress, from the files that it writes; None if unknown.

        It is called at any time, also after the step's end, and must be quick: no import of torch or nnU-Net.
        """
        return None

    def remarks(self, folder: Path) -> list[str]:
        """Return remarks about the finished result for the user."""
        return []

    def options(self) -> dict[str, Any]:
        """Return the kind's own entries, without name, kind and needs: what the result depends on."""
        own = (field.name for field in fields(self) if field.name not in OF_EVERY_STEP)
        return {name: getattr(self, name) for name in own}

    def depends_on(self, settings: Settings) -> dict[str, Any]:
        """Return what else the result depends on: entries of the top of `campaign.toml`, such as the seed.

        One of nnU-Net's folders, by its variable, is that which the result is in.
        """
        return {}


def worker(module: str, *arguments: object) -> list[str]:
    """Return the command that runs a module of `campaign.workers`."""
    return [sys.executable, "-m", f"nnunet_pancext.campaign.workers.{module}", *map(str, arguments)]


@lru_cache
def kinds() -> dict[str, type[Step]]:
    """Return the kinds of steps by their names in `campaign.toml`.

    Other packages add theirs as entry points of the group `nnunet_pancext.campaign_kinds`, each a class.
    """
    path = [str(Path(__file__).with_name("kinds"))]
    classes = [kind for module in import_modules(KINDS, path) for kind in classes_of(module, Step).values()]
    classes += [point.load() for point in entry_points(group=ENTRY_POINTS)]
    return {kind.kind: kind for kind in classes if hasattr(kind, "kind")}


def read_step(entry: Mapping[str, Any], *, where: str, device: str | None = None) -> Step:
    """Return a step from its table in `campaign.toml`; PancextError says what is wrong in it.

    Args:
        entry: plain Python values: strings, numbers, lists.
        where: the file and the place of the table, for messages.
        device: the campaign's, of each step that has a device and does not give its own.
    """
    name = entry.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise PancextError(
            f"{where}: name is {name!r}; it must be up to 150 letters, digits and _ . + -, "
            "the first a letter or digit."
        )
    where = f"{where}, step {name}"
    kind = kinds().get(str(entry.get("kind")))
    if kind is None:
        raise PancextError(f"{where}: kind is {entry.get('kind')!r}. Choose from: {', '.join(kinds())}.")
    known = {field.name: field for field in fields(kind)}
    given = {key: value for key, value in entry.items() if key != "kind"}
    if device is not None and "device" in known:
        given.setdefault("device", device)
    unknown = [key for key in given if key not in known]
    if unknown:
        raise PancextError(
            f"{where}: {', '.join(unknown)} is not an entry of kind {kind.kind}. "
            f"Its entries: {', '.join(known)}."
        )
    required = [
        key
        for key, field in known.items()
        if field.default is MISSING and field.default_factory is MISSING and key not in given
    ]
    if required:
        raise PancextError(f"{where}: {', '.join(required)} is missing. Add it.")
    values = {key: _value(value, known[key].type, where=f"{where}: {key}") for key, value in given.items()}
    if values.get("device", DEVICES[0]) not in DEVICES:
        raise PancextError(f"{where}: device is {values['device']!r}. Choose from: {', '.join(DEVICES)}.")
    for key in (name for name in NAMES if name in values):
        for value in values[key] if isinstance(values[key], tuple) else [values[key]]:
            if value in ("", "..") or re.search(r"[/\\]", str(value)):
                raise PancextError(f"{where}: {key} is {value!r}; it must be a name, not a path or empty.")
    if os.path.normpath(values.get("output", "x")).strip("./") == "":
        raise PancextError(f"{where}: output is {values['output']!r}; give a folder of its own.")
    return kind(**values)


def _value(value: Any, declared: Any, *, where: str) -> Any:
    """Return the value as the field's type; PancextError if it is of another."""
    item = get_args(declared)[0] if get_args(declared) else declared
    values = value if get_args(declared) else [value]
    if not isinstance(values, list) or not all(_is_a(entry, item) for entry in values):
        wanted = WANTED.get(item, item.__name__)
        raise PancextError(
            f"{where} is {value!r}; it must be {f'a list, each {wanted}' if get_args(declared) else wanted}."
        )
    if any(isinstance(entry, str) and "\0" in entry for entry in values):
        raise PancextError(f"{where} is {value!r}; it must not contain a null character.")
    return tuple(values) if get_args(declared) else value


def _is_a(value: Any, declared: type) -> bool:
    if declared is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, declared) and (declared is bool or not isinstance(value, bool))
