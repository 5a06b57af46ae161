"""The folder of a paper's campaign: written once, and continued by the same selection alone."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nnunet_pancext.campaign.changes import changes_text
from nnunet_pancext.campaign.definition import FILE, Campaign, read_campaign, write_campaign
from nnunet_pancext.campaign.kinds.convert import Convert
from nnunet_pancext.campaign.step import Step
from nnunet_pancext.errors import PancextError
from nnunet_pancext.nnunet_files.folders import DUTIES, nnunet_folder, require_all_folders_set
from nnunet_pancext.reproduction.campaign import missing_downloads, plan_protocol
from nnunet_pancext.reproduction.requirements import require_downloads, require_gpu_and_extras
from nnunet_pancext.reproduction.selection import PlannedRun, Selection


def write_protocol(
    folder: Path, runs: Sequence[PlannedRun], selection: Selection, *, is_run_here: bool
) -> list[Step]:
    """Write the campaign of a selection, or find it there; return the steps that are done already.

    Raises:
        PancextError: what it needs is missing: nnU-Net's folders, a download or, where `is_run_here`, a GPU
            or an optional package; or the folder holds the campaign of another selection.
    """
    require_all_folders_set()
    folders = {name: str(Path(nnunet_folder(name) or "").absolute()) for name in DUTIES}
    campaign = present_or_planned(folder, plan_protocol(runs, selection, folders=folders), runs)
    for path in folders.values():
        Path(path).mkdir(parents=True, exist_ok=True)
    finished = finished_steps(campaign, folder)
    unfinished = [step for step in campaign.steps if step not in finished]
    require_downloads(runs, unfinished)
    if is_run_here:
        require_gpu_and_extras(unfinished, device=campaign.device)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / FILE).is_file() or read_campaign(folder) != campaign:
            write_campaign(folder, campaign)
    except OSError as error:
        raise PancextError(f"cannot write to {folder}: {error.strerror}. Give another --out.") from error
    return finished


def finished_steps(campaign: Campaign, folder: Path) -> list[Step]:
    """Return the steps that are done, as are all that they need."""
    finished: list[Step] = []
    for step in campaign.steps:
        if {other.name for other in finished}.issuperset(step.needs) and step.is_done(folder):
            finished.append(step)
    return finished


def present_or_planned(folder: Path, planned: Campaign, runs: Sequence[PlannedRun]) -> Campaign:
    """Return the campaign to run in the folder: the one that is there, or the planned one.

    The downloads are those that are given now; where none are, or a dataset is converted, those given before.

    Raises:
        PancextError: the folder holds the campaign of another selection.
    """
    if not (folder / FILE).is_file():
        return planned
    existing = read_campaign(folder)
    datasets = {run.dataset.folder: run.dataset for run in runs}
    before = {step.name: step for step in existing.steps}
    steps = list(planned.steps)
    for index, step in enumerate(steps):
        former = before.get(step.name)
        if isinstance(step, Convert) and isinstance(former, Convert):
            if missing_downloads(step, datasets[step.dataset]) or former.is_done(folder):
                step = replace(step, sources=former.sources)
            steps[index], before[step.name] = step, replace(former, sources=step.sources)
    continued = replace(existing, steps=tuple(before.values()))
    if differences := _differences(continued, replace(planned, steps=tuple(steps))):
        listed = "\n".join(f"  {line}" for line in differences)
        raise PancextError(
            f"{folder} holds the protocol of another selection:\n{listed}\n"
            f"Give the same options as before, or another --out: what is converted, preprocessed and trained "
            f"is used again. `pancext campaign run {folder}` goes on with the one that is there."
        )
    return continued


def _differences(existing: Campaign, planned: Campaign) -> list[str]:
    """Return what differs between two campaigns, for a person."""
    lines = [
        f"{what} {then} -> {now}"
        for what, then, now in (
            ("device", existing.device, planned.device),
            ("seed", existing.seed, planned.seed),
            *((name, existing.folders[name], planned.folders[name]) for name in planned.folders),
        )
        if then != now
    ]
    before, after = ({step.name: step for step in campaign.steps} for campaign in (existing, planned))
    lines += [f"no longer there: {name}" for name in before if name not in after]
    lines += [f"new: {name}" for name in after if name not in before]
    for name in before:
        if name in after and (entries := _changed(before[name], after[name])):
            lines.append(f"{name}: {changes_text(entries)}")
    return lines


def _changed(before: Step, after: Step) -> dict[str, tuple[Any, Any]]:
    then, now = ({"kind": step.kind, **step.options()} for step in (before, after))
    return {key: (then.get(key), now.get(key)) for key in {**then, **now} if then.get(key) != now.get(key)}
