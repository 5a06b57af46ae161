"""What of a campaign's results was made with other options than `campaign.toml` has now."""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any

from nnunet_pancext.campaign.definition import NO_SEED, SEED, Campaign, present_versions
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
from nnunet_pancext.io.console_text import counted
from nnunet_pancext.io.files import shown_json

Entries = dict[str, tuple[Any, Any]]


@dataclass(frozen=True, kw_only=True)
class Change:
    """A step with the entries that differ, each then and now, and the steps to do again with it, if begun."""

    step: str
    entries: Mapping[str, tuple[Any, Any]]
    dependents: tuple[str, ...]


def changed_entries(step: Step, record: Record) -> Entries:
    """Return the entries of a step that differ from those its outputs were begun with, each then and now.

    An entry that the record does not know, of an older version, had its default.
    """
    if record.options is None:
        return {}
    defaults = {entry.name: entry.default for entry in fields(step) if entry.default is not MISSING}
    now = _plain(step.options())
    then = {**_plain({key: defaults[key] for key in now if key in defaults}), **record.options}
    return {key: (then.get(key), value) for key, value in now.items() if then.get(key) != value}


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(options))


def adopt(step: Step, folder: Path) -> None:
    """Record the options of a step that was done outside of the campaign, unless they are recorded."""
    if read_record(folder, step.name).options is None:
        with Lease(lease_file(folder, step.name)):
            record = read_record(folder, step.name)
            write_record(folder, step.name, replace(record, options=step.options()))


def changes_text(entries: Mapping[str, tuple[Any, Any]]) -> str:
    """Return the entries as `epochs 100 -> 50, folds ["0"] -> ["0", "1"]`."""
    return ", ".join(f"{key} {shown_json(then)} -> {shown_json(now)}" for key, (then, now) in entries.items())


def find_changes(campaign: Campaign, folder: Path) -> list[Change]:
    """Return the steps whose outputs were begun with other options, in order.

    A step that has left no output is none of them: it is simply run with its present options.
    """
    changes = []
    for step in campaign.steps:
        entries = changed_entries(step, read_record(folder, step.name))
        if entries and step.result(folder).exists():
            dependents = [
                name for name in campaign.dependents(step.name) if campaign.step(name).result(folder).exists()
            ]
            changes.append(Change(step=step.name, entries=entries, dependents=tuple(dependents)))
    return changes


def describe_changes(changes: Sequence[Change]) -> str:
    """Return what must be done again, and why, for a person."""
    lines = [f"campaign.toml has changed since {counted(len(changes), 'step')} began:"]
    for change in changes:
        lines.append(f"  {change.step}: {changes_text(change.entries)}")
        if change.dependents:
            lines.append(f"      and what was made from it: {', '.join(change.dependents)}")
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
                write_record(folder, step.name, replace(read_record(folder, step.name), options=None))
    return [step.name for step in steps]


def version_remarks(campaign: Campaign, folder: Path) -> list[str]:
    """Return which results were made with other versions of a package, or another seed; they are kept."""
    now = {**present_versions(), SEED: NO_SEED if campaign.seed is None else str(campaign.seed)}
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
