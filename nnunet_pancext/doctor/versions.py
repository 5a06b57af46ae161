"""Are the installed packages in the ranges that nnunet_pancext and nnU-Net declare, and do they load?"""

from __future__ import annotations

import importlib
import platform
from collections.abc import Callable, Iterator
from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from nnunet_pancext.doctor.check import Diagnosis, ok, one_line, problem, warning

PLUGIN, NNUNET = "nnunet-pancext", "nnunetv2"
BASELINES = f"{PLUGIN}[baselines]"
PYTORCH_INDEX = "https://download.pytorch.org/whl"


def check_python() -> Iterator[Diagnosis]:
    """Python is a version that both packages support."""
    version, supported = platform.python_version(), SpecifierSet()
    for distribution in filter(installed_version, (PLUGIN, NNUNET)):
        declared = metadata.metadata(distribution)
        supported &= SpecifierSet(declared["Requires-Python"] if "Requires-Python" in declared else "")
    if supported.contains(version, prereleases=True):
        yield ok("Python", version)
    else:
        yield problem("Python", version, f"Create an environment with Python {supported}.")


def check_plugin() -> Iterator[Diagnosis]:
    """nnunet_pancext is installed, not merely importable."""
    lost = "without installation, stock nnU-Net commands cannot find the trainers"
    yield examine(PLUGIN, title="nnunet_pancext", lost=lost, install="In its source folder: pip install .")


def check_nnunet() -> Iterator[Diagnosis]:
    """nnU-Net is new enough to find trainers outside its own folder."""
    yield examine(NNUNET, title="nnU-Net")


def check_torch() -> Iterator[Diagnosis]:
    """torch is in the declared range, which excludes the slow 2.9, and loads."""
    version = installed_version("torch") or ""
    install = f'pip install "torch{declared_ranges().get("torch", "")}" torchvision{_index_option(version)}'
    reason = ""
    if version and Version(version).release[:2] == (2, 9):
        reason = ": 3D convolutions take about four times as long under AMP"
    yield examine(
        "torch", install=install, reason=reason, reinstall=f"pip install --force-reinstall torch=={version}"
    )


def check_torchvision() -> Iterator[Diagnosis]:
    """torchvision, which nnU-Net needs to look up a trainer but does not declare, fits torch."""
    command = torchvision_command()
    yield examine(
        "torchvision",
        lost="nnU-Net fails without it when it looks up a trainer",
        install=f"Install it from the index of torch: {command}",
        reinstall="It does not fit the installed torch, so nnU-Net fails when it looks up a trainer. Install "
        f"both from the same index: pip uninstall -y torch torchvision, then {command}",
    )


def check_other_packages() -> Iterator[Diagnosis]:
    """All other declared packages are installed and in range; one line for those that are."""
    others = sorted(set(declared_ranges()) - {NNUNET, "torch"})
    wrong = [diagnosis for diagnosis in map(examine, others) if diagnosis.remedy]
    yield from wrong
    if len(wrong) < len(others):
        yield ok("other packages", f"{len(others) - len(wrong)} of {len(others)} as declared")


def check_baselines() -> Iterator[Diagnosis]:
    """MONAI, which only the trainers of the extra `baselines` need, is absent or in range."""
    version, install = installed_version("monai"), f'pip install "{BASELINES}"'
    allowed = declared_ranges(extra="baselines").get("monai", SpecifierSet())
    if not version:
        yield ok("MONAI", f"not installed; optional, only the Monai... trainers need it: {install}")
    elif allowed.contains(version, prereleases=True):
        yield ok("MONAI", version)
    else:
        yield warning("MONAI", f"{version}, but the Monai... trainers need {allowed}", install)


PACKAGE_CHECKS: dict[str, Callable[[], Iterator[Diagnosis]]] = {
    "nnunet_pancext": check_plugin,
    "nnU-Net": check_nnunet,
    "torch": check_torch,
    "torchvision": check_torchvision,
    "other packages": check_other_packages,
    "MONAI": check_baselines,
}


def examine(
    distribution: str,
    *,
    title: str = "",
    lost: str = "",
    install: str = "",
    reason: str = "",
    reinstall: str = "",
) -> Diagnosis:
    """Return whether a distribution is installed, in the declared range and, with `reinstall`, loads.

    Args:
        distribution: its name.
        title: of the diagnosis, the name by default.
        lost: what does not work without it.
        install: the remedy where it is missing or out of range.
        reason: why its version is out of range.
        reinstall: the remedy where it cannot be imported.
    """
    title, version = title or distribution, installed_version(distribution)
    allowed = declared_ranges().get(distribution, SpecifierSet())
    install = install or f'pip install "{distribution}{allowed}"'
    if not version:
        return problem(title, f"not installed{f'; {lost}' if lost else ''}", install)
    if not allowed.contains(version, prereleases=True):
        return problem(title, f"{version}, but {allowed} is needed{reason}", install)
    if reinstall and (error := import_error(distribution)):
        return problem(title, f"{version} does not load: {error}", reinstall)
    return ok(title, version)


def declared_ranges(*, extra: str = "") -> dict[str, SpecifierSet]:
    """Return, by canonical name, the versions that both packages allow of each requirement on this system.

    Only the requirements of `extra` are added to those of a plain installation.
    """
    ranges: dict[str, SpecifierSet] = {}
    for distribution in filter(installed_version, (PLUGIN, NNUNET)):
        for requirement in map(Requirement, metadata.requires(distribution) or []):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                name = canonicalize_name(requirement.name)
                ranges[name] = ranges.get(name, SpecifierSet()) & requirement.specifier
    return ranges


def installed_version(distribution: str) -> str | None:
    """Return the version of an installed distribution, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def torchvision_command() -> str:
    """Return the command that installs torch and torchvision from the index of the installed torch."""
    command = "pip install torch torchvision"
    if index := _index_option(installed_version("torch") or ""):
        return command + index
    return f"{command} (smaller, without a GPU: {command} --index-url {PYTORCH_INDEX}/cpu)"


def import_error(module: str) -> str | None:
    """Return why `module` cannot be imported, in one line, or None if it can."""
    try:
        importlib.import_module(module)
    except Exception as error:
        return one_line(error)
    return None


def _index_option(torch_version: str) -> str:
    """Return pip's option for the index of this torch: `2.8.0+cpu` comes from PyTorch's `cpu`."""
    build = torch_version.partition("+")[2]
    return f" --index-url {PYTORCH_INDEX}/{build}" if build else ""
