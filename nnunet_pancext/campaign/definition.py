"""`campaign.toml`: the steps of a campaign with all that they depend on, readable and editable."""

import os
import platform
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from nnunet_pancext.campaign.settings import SEED, Settings
from nnunet_pancext.campaign.step import DEVICES, Step, read_step
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import write_text
from nnunet_pancext.nnunet_files.folders import DUTIES
from nnunet_pancext.version import __version__

FILE = "campaign.toml"
FORMAT = 1
PACKAGES = ("nnunetv2", "torch")
TABLES = ("versions", "folders", "environment")
ENTRIES = ("format", "device", "seed", *TABLES, "step")
LONGEST_LINE = 110  # of the file; a longer list has a line for each entry
HEADER = """\
A campaign of nnU-Net trainings. `pancext campaign run FOLDER` does every step that is not done;
`pancext campaign status FOLDER` shows where it is. Steps may be changed, removed and added here: the next
run says what must be done again before it does it."""


@dataclass(frozen=True, kw_only=True)
class Campaign(Settings):
    """What `campaign.toml` says; `steps` are in an order in which each comes after those that it needs."""

    versions: Mapping[str, str]
    steps: tuple[Step, ...]

    def step(self, name: str) -> Step:
        """Return one step; PancextError where there is none of this name."""
        for step in self.steps:
            if step.name == name:
                return step
        close = get_close_matches(name, [step.name for step in self.steps], cutoff=0.5)
        ways = f"Is it {' or '.join(close)}?" if close else "`pancext campaign status FOLDER` lists them."
        raise PancextError(f"The campaign has no step {name!r}. {ways}")

    def dependents(self, name: str) -> list[str]:
        """Return the steps that need this one, directly or through others, in order."""
        found = {name}
        for step in self.steps:
            if found.intersection(step.needs):
                found.add(step.name)
        return [step.name for step in self.steps if step.name in found and step.name != name]

    def with_needs(self, names: Collection[str]) -> list[Step]:
        """Return the steps of these names and all that they need, directly or through others, in order."""
        found = set(names)
        for step in reversed(self.steps):
            if step.name in found:
                found.update(step.needs)
        return [step for step in self.steps if step.name in found]


def present_versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    return {
        "nnunet_pancext": __version__,
        **{package: version(package) for package in PACKAGES},
        "python": platform.python_version(),
    }


def ordered(steps: Sequence[Step], *, where: str) -> tuple[Step, ...]:
    """Return the steps, each after those that it needs, else in their order; PancextError for a bad need."""
    by_name: dict[str, Step] = {}
    for step in steps:
        if step.name in by_name:
            raise PancextError(f"{where}: two steps are called {step.name}. Give each a name of its own.")
        by_name[step.name] = step
    for step in steps:
        missing = [name for name in step.needs if name not in by_name]
        if missing:
            close = get_close_matches(missing[0], by_name, n=1, cutoff=0.8)
            raise PancextError(
                f"{where}, step {step.name}: it needs {', '.join(missing)}, which is not a step. "
                + (f"Is it {close[0]}? " if close else "")
                + "Correct `needs`, or add the step."
            )
    sorter = TopologicalSorter({step.name: step.needs for step in steps})
    try:
        names = list(sorter.static_order())
    except CycleError as error:
        raise PancextError(
            f"{where}: steps need each other in a circle: {' -> '.join(error.args[1])}."
        ) from None
    if _is_ordered(steps):
        return tuple(steps)
    return tuple(by_name[name] for name in names)


def _is_ordered(steps: Sequence[Step]) -> bool:
    seen: set[str] = set()
    for step in steps:
        if not seen.issuperset(step.needs):
            return False
        seen.add(step.name)
    return True


def write_campaign(folder: Path, campaign: Campaign) -> Path:
    """Write `campaign.toml` whole, and return its path."""
    document = tomlkit.document()
    for line in HEADER.splitlines():
        document.add(tomlkit.comment(line))
    document.add(tomlkit.nl())
    document["format"] = FORMAT
    document["device"] = campaign.device
    if campaign.seed is not None:
        document["seed"] = campaign.seed
    for name in TABLES:
        if content := getattr(campaign, name):
            table = tomlkit.table()
            table.update(content)
            document[name] = table
    steps = tomlkit.aot()
    for step in campaign.steps:
        steps.append(_table(step, device=campaign.device))
    document["step"] = steps
    target = folder / FILE
    write_text(target, tomlkit.dumps(document))
    return target


def _table(step: Step, *, device: str) -> Any:
    table = tomlkit.table()
    table["name"], table["kind"] = step.name, step.kind
    table["needs"] = _array("needs", step.needs)
    defaults = {entry.name: entry.default for entry in fields(step)} | {"device": device}
    for key, value in step.options().items():
        if value != defaults[key]:
            table[key] = _array(key, value) if isinstance(value, tuple) else value
    return table


def _array(key: str, values: Sequence[Any]) -> Any:
    array = tomlkit.array()
    array.extend(values)
    return array.multiline(len(f"{key} = {array.as_string()}") > LONGEST_LINE)


def read_campaign(folder: Path) -> Campaign:
    """Read and check `campaign.toml`.

    Raises:
        PancextError: the folder has none, it is not TOML, or an entry is missing, unknown or wrong.
    """
    path = folder / FILE
    try:
        content = tomlkit.parse(path.read_bytes().decode("utf-8-sig")).unwrap()
    except FileNotFoundError:
        raise PancextError(
            f"There is no {path}. Give the folder of a campaign; `pancext campaign plan` makes one."
        ) from None
    except OSError as error:
        raise PancextError(f"Cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise PancextError(f"{path} is not in UTF-8 ({error}). Save it as UTF-8.") from error
    except TOMLKitError as error:
        raise PancextError(f"{path} is not TOML: {str(error).rstrip('.')}. Correct it.") from error
    where = str(path)
    if content.get("format") != FORMAT:
        raise PancextError(
            f"{where}: format is {content.get('format')!r}, and this version reads {FORMAT}. "
            "Plan the campaign anew with this version."
        )
    unknown = [key for key in content if key not in ENTRIES]
    if unknown:
        raise PancextError(f"{where}: {', '.join(unknown)} is not an entry. Entries: {', '.join(ENTRIES)}.")
    device, seed = content.get("device"), content.get("seed")
    if device not in DEVICES:
        raise PancextError(f"{where}: device is {device!r}. Choose from: {', '.join(DEVICES)}.")
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool) or seed < 0):
        raise PancextError(f"{where}: seed is {seed!r}; it must be a whole number from 0, or left out.")
    tables = {key: _texts(content.get(key, {}), f"{where}: {key}") for key in TABLES}
    missing = [name for name in DUTIES if not Path(tables["folders"].get(name, "")).is_absolute()]
    if missing:
        raise PancextError(f"{where}: folders has no absolute path for {', '.join(missing)}. Add it.")
    entries = content.get("step", [])
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise PancextError(f"{where} has no [[step]]. Plan the campaign again with `pancext campaign plan`.")
    steps = [
        read_step(entry, where=f"{where}, [[step]] {number}", device=device)
        for number, entry in enumerate(entries, start=1)
    ]
    return Campaign(device=device, seed=seed, steps=ordered(steps, where=where), **tables)


def open_campaign(folder: Path) -> Campaign:
    """Read `campaign.toml`, and set its environment variables in this process, as its steps' methods need."""
    campaign = read_campaign(folder)
    os.environ.pop(SEED, None)  # one that the shell has set: without a seed of its own, a campaign has none
    os.environ.update(campaign.variables)
    return campaign


def _texts(table: Any, where: str) -> dict[str, str]:
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise PancextError(f'{where} must be a table of texts, NAME = "VALUE".')
    for name, value in table.items():
        if not name or "=" in name or "\0" in name + value:
            raise PancextError(
                f"{where}: {name!r} = {value!r} cannot be an environment variable. Correct it."
            )
    return dict(table)
