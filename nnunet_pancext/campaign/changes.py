"""Finds results of a campaign that were made with other options than `campaign.toml` has now."""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from nnunet_pancext.campaign.definition import Campaign, present_versions
from nnunet_pancext.campaign.lease import Lease
from nnunet_pancext.campaign.record import (
    Begun,
    Record,
    folder_lease_file,
    lease_file,
    read_record,
    state_file,
    write_record,
)
from nnunet_pancext.campaign.settings import Settings
from nnunet_pancext.campaign.step import Step
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import counted
from nnunet_pancext.io.files import shown_json
from nnunet_pancext.nnunet_files.folders import DUTIES

Entries = dict[str, tuple[Any, Any]]


@dataclass(frozen=True, kw_only=True)
class Change:
    """A step with the entries that differ, each then and now, and the steps to do again with it, if begun."""

    step: str
    entries: Mapping[str, tuple[Any, Any]]
    dependents: tuple[str, ...]


def recorded_options(step: Step, campaign: Campaign) -> dict[str, Any]:
    """Return all entries of `campaign.toml` that a step's result depends on, as its record has them."""
    return _plain({**step.options(), **step.depends_on(campaign)})


def place_of(step: Step, settings: Settings, folder: Path) -> str:
    """Return where a step's output is, such as `$nnUNet_results/…`, or below the campaign's folder."""
    result = step.result(folder)
    for variable, root in settings.folders.items():
        if result.is_relative_to(root):
            return str(Path(f"${variable}") / result.relative_to(root))
    return str(result.relative_to(folder) if result.is_relative_to(folder) else result)


def _path_of(place: str, campaign: Campaign, folder: Path) -> Path:
    for variable, root in campaign.folders.items():
        place = place.replace(f"${variable}", root, 1)
    return folder / place


def changed_entries(step: Step, options: Mapping[str, Any], campaign: Campaign) -> Entries:
    """Return the entries that differ from `options` of an earlier time, each then and now.

    An entry that these do not have, of an older version, had its default, and at the top of the file its
    present value.
    """
    now = recorded_options(step, campaign)
    defaults = {entry.name: entry.default for entry in fields(step) if entry.default is not MISSING}
    unknown = {**{key: defaults[key] for key in now if key in defaults}, **step.depends_on(campaign)}
    then = {**_plain(unknown), **options}
    return {key: (then.get(key), value) for key, value in now.items() if then.get(key) != value}


def outdated_entries(step: Step, record: Record, campaign: Campaign, folder: Path) -> Entries:
    """Return the changed entries for which a step must be done again.

    If there is an output, these are all but nnU-Net's folders, because a dataset or model may be moved. If
    there is none, only changes of nnU-Net's folders are returned; but if the step left an output at another
    place, for example as another trainer, all entries that changed since.

    Raises:
        PancextError: the place of the output cannot be read.
    """
    place = place_of(step, campaign, folder)
    if place in record.begun:
        entries = changed_entries(step, record.begun[place].options, campaign)
        is_there = bool(entries) and has_result(step, folder)
        return {key: values for key, values in entries.items() if (key in DUTIES) != is_there}
    if record.begun and not has_result(step, folder):
        for other, begun in reversed(record.begun.items()):
            if _is_there(_path_of(other, campaign, folder)):
                return changed_entries(step, begun.options, campaign)
    return {}


def has_result(step: Step, folder: Path) -> bool:
    """Whether there is any output of a step; PancextError where its place cannot be read."""
    return _is_there(step.result(folder))


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise PancextError(f"Cannot read {path}: {error.strerror}. Change its permissions.") from error


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(options))


def adopt(step: Step, campaign: Campaign, folder: Path) -> None:
    """Record the options of a step that was done outside of the campaign, unless they are recorded."""
    place = place_of(step, campaign, folder)
    if place not in read_record(folder, step.name).begun:
        with Lease(lease_file(folder, step.name)):
            _record_options(step, campaign, folder)


def _record_options(step: Step, campaign: Campaign, folder: Path) -> None:
    begun = Begun(options=recorded_options(step, campaign), versions={})
    record = read_record(folder, step.name).with_begun(place_of(step, campaign, folder), begun)
    write_record(folder, step.name, record)


def changes_text(entries: Mapping[str, tuple[Any, Any]]) -> str:
    """Return the entries as `epochs 100 -> 50, folds ["0"] -> ["0", "1"]`."""
    return ", ".join(f"{key} {shown_json(then)} -> {shown_json(now)}" for key, (then, now) in entries.items())


def find_changes(campaign: Campaign, folder: Path) -> list[Change]:
    """Return the steps that must be done again because of what has changed, in order."""
    changes = []
    for step in campaign.steps:
        entries = outdated_entries(step, read_record(folder, step.name), campaign, folder)
        if entries:
            dependents = [
                name for name in campaign.dependents(step.name) if has_result(campaign.step(name), folder)
            ]
            changes.append(Change(step=step.name, entries=entries, dependents=tuple(dependents)))
    return changes


def describe_changes(changes: Sequence[Change]) -> str:
    """Return a message about what must be done again, and why."""
    groups: dict[str, list[Change]] = {}
    for change in changes:
        groups.setdefault(changes_text(change.entries), []).append(change)
    lines = [f"campaign.toml has changed since {counted(len(changes), 'step')} began:"]
    for text, alike in groups.items():
        names = [change.step for change in alike]
        made = dict.fromkeys(name for change in alike for name in change.dependents if name not in names)
        lines += [f"  {name}," for name in names[:-1]] + [f"  {names[-1]}: {text}"]
        if made:
            source = "it" if len(names) == 1 else "them"
            lines.append(f"      and steps that depend on {source}: {', '.join(made)}")
    return "\n".join(lines)


def redo(campaign: Campaign, folder: Path, changes: Sequence[Change]) -> list[str]:
    """Set the outputs of the changed steps and of their dependents aside; return the steps, in order.

    Raises:
        Held: another process runs one of them.
    """
    names = {name for change in changes for name in (change.step, *change.dependents)}
    steps = [step for step in campaign.steps if step.name in names]
    for step in reversed(steps):  # killed half-way, no step is left whose needs look unchanged
        with ExitStack() as leases:
            leases.enter_context(Lease(lease_file(folder, step.name)))
            if written := step.written_folder(folder):
                leases.enter_context(Lease(folder_lease_file(written)))
            step.set_aside(folder)
            if state_file(folder, step.name).is_file():
                _record_options(step, campaign, folder)
    return [step.name for step in steps]


def version_remarks(campaign: Campaign, folder: Path) -> list[str]:
    """Return which results were made with other versions of a package; they are kept."""
    now = present_versions()
    steps: dict[tuple[str, str], list[str]] = {}
    for step in campaign.steps:
        begun = read_record(folder, step.name).begun.get(place_of(step, campaign, folder))
        for package, version in begun.versions.items() if begun else ():
            if now.get(package, version) != version:
                steps.setdefault((package, version), []).append(step.name)
    return [
        f"{package} was {version} for {names[0] if len(names) == 1 else counted(len(names), 'step')}, and is "
        f"{now[package]} now; the results are kept."
        for (package, version), names in steps.items()
    ]
