"""What of a campaign's results was made with other options than `campaign.toml` has now."""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from nnunet_pancext.campaign.definition import Campaign, present_versions
from nnunet_pancext.campaign.lease import Lease
from nnunet_pancext.campaign.record import (
    Record,
    folder_lease_file,
    lease_file,
    read_record,
    state_file,
    write_record,
)
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


def place_of(step: Step, campaign: Campaign, folder: Path) -> str:
    """Return where a step's output is, such as `$nnUNet_results/…`, or below the campaign's folder."""
    result = step.result(folder)
    for variable, root in campaign.folders.items():
        if result.is_relative_to(root):
            return str(Path(f"${variable}") / result.relative_to(root))
    return str(result.relative_to(folder) if result.is_relative_to(folder) else result)


def _exists_at(place: str, campaign: Campaign, folder: Path) -> bool:
    for variable, root in campaign.folders.items():
        place = place.replace(f"${variable}", root, 1)
    return (folder / place).exists()


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

    Where there is an output, these are all but nnU-Net's folders: a dataset or a model may be moved. Where
    there is none, the step is simply run with its present entries, but not unasked in another folder, nor
    where its output is at another place, as that of another trainer.

    Raises:
        PancextError: the place of the output cannot be read.
    """
    options = record.options_at(place_of(step, campaign, folder))
    if options is None:
        if (
            record.options is None
            or has_result(step, folder)
            or not _exists_at(record.place, campaign, folder)
        ):
            return {}
        return changed_entries(step, record.options, campaign)
    entries = changed_entries(step, options, campaign)
    if not entries:
        return {}
    is_there = has_result(step, folder)
    return {key: values for key, values in entries.items() if (key in DUTIES) != is_there}


def has_result(step: Step, folder: Path) -> bool:
    """Whether there is any output of a step; PancextError where its place cannot be read."""
    result = step.result(folder)
    try:
        return result.exists()
    except OSError as error:
        raise PancextError(f"Cannot read {result}: {error.strerror}. Change its permissions.") from error


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(options))


def adopt(step: Step, campaign: Campaign, folder: Path) -> None:
    """Record the options of a step that was done outside of the campaign, unless they are recorded."""
    place = place_of(step, campaign, folder)
    if read_record(folder, step.name).options_at(place) is None:
        with Lease(lease_file(folder, step.name)):
            record = read_record(folder, step.name)
            adopted = record.begun(recorded_options(step, campaign), place=place, versions=record.versions)
            write_record(folder, step.name, adopted)


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
    """Return what must be done again, and why, for a person."""
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
            lines.append(f"      and what was made from {source}: {', '.join(made)}")
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
                place = place_of(step, campaign, folder)
                write_record(folder, step.name, read_record(folder, step.name).set_aside(place))
    return [step.name for step in steps]


def version_remarks(campaign: Campaign, folder: Path) -> list[str]:
    """Return which results were made with other versions of a package; they are kept."""
    now = present_versions()
    steps: dict[tuple[str, str], list[str]] = {}
    for step in campaign.steps:
        record = read_record(folder, step.name)
        if record.options is None:
            continue
        for package, version in record.versions.items():
            if now.get(package, version) != version:
                steps.setdefault((package, version), []).append(step.name)
    return [
        f"{package} was {version} for {names[0] if len(names) == 1 else counted(len(names), 'step')}, and is "
        f"{now[package]} now; the results are kept."
        for (package, version), names in steps.items()
    ]
