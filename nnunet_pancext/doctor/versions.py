"""Are the installed packages the ones that nnunet_pancext and nnU-Net declare, and do they load?"""

from __future__ import annotations

import importlib
import platform
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import nnunet_pancext_discovery
from nnunet_pancext.doctor.check import Finding, ok, one_line, problem, warning

PLUGIN, HOST = "nnunet-pancext", "nnunetv2"
DECLARING = (PLUGIN, HOST)
BASELINES = f"{PLUGIN}[baselines]"
PYTORCH_INDEX = "https://download.pytorch.org/whl"


def check_python() -> Iterator[Finding]:
    """Python is one that both packages support."""
    supported = SpecifierSet()
    for distribution in DECLARING:
        if not installed_version(distribution):
            continue
        declared = metadata.metadata(distribution)
        if "Requires-Python" in declared:
            supported &= SpecifierSet(declared["Requires-Python"])
    found = platform.python_version()
    if supported.contains(found, prereleases=True):
        yield ok("Python", found)
    else:
        yield problem("Python", found, f"Make an environment with Python {supported}.")


def check_plugin() -> Iterator[Finding]:
    """nnunet_pancext is installed, not merely importable."""
    found = installed_version(PLUGIN)
    if found:
        yield ok("nnunet_pancext", found)
    else:
        yield problem(
            "nnunet_pancext",
            "not installed; without that, stock nnU-Net commands cannot find the trainers",
            "In its source folder: pip install .",
        )


def check_nnunet() -> Iterator[Finding]:
    """nnU-Net is new enough to find trainers outside its own folder, and within the declared range."""
    message = nnunet_pancext_discovery.outdated_nnunet_message()
    if message:
        yield problem("nnU-Net", installed_version(HOST) or "not installed", message)
        return
    yield from _check_range("nnU-Net", HOST, declared_ranges().get(HOST, SpecifierSet()))


def check_torch() -> Iterator[Finding]:
    """torch is in the declared range, is not the slow 2.9, and loads."""
    found = installed_version("torch")
    allowed = declared_ranges().get("torch", SpecifierSet())
    if found and Version(found).release[:2] == (2, 9):
        yield problem(
            "torch",
            f"{found}, which nnU-Net excludes: 3D convolutions take about four times as long under AMP",
            f'pip install "torch{allowed or "!=2.9.*"}" torchvision{_index_option(found)}',
        )
        return
    yield from _check_range("torch", "torch", allowed, loads=True)


def check_torchvision() -> Iterator[Finding]:
    """torchvision, which nnU-Net needs to look up a trainer but does not declare, fits torch."""
    found = installed_version("torchvision")
    if not found:
        yield problem(
            "torchvision",
            "not installed; nnU-Net fails without it when it looks up a trainer",
            f"Install it from where torch comes from: {torchvision_command()}",
        )
        return
    error = import_error("torchvision")
    if error:
        yield problem(
            "torchvision",
            f"{found} does not load: {error}",
            "It does not fit the installed torch, so nnU-Net fails when it looks up a trainer. Install both "
            f"from the same index: pip uninstall -y torch torchvision, then {torchvision_command()}",
        )
        return
    yield ok("torchvision", found)


def check_other_packages() -> Iterator[Finding]:
    """All further declared packages are there and in range; one line for those that are."""
    others = {name: allowed for name, allowed in declared_ranges().items() if name not in (HOST, "torch")}
    findings = [
        finding for name, allowed in sorted(others.items()) for finding in _check_range(name, name, allowed)
    ]
    wrong = [finding for finding in findings if finding.remedy]
    yield from wrong
    if len(wrong) < len(findings):
        yield ok("other packages", f"{len(findings) - len(wrong)} of {len(findings)} as declared")


def check_baselines() -> Iterator[Finding]:
    """MONAI, which only the trainers of the extra `baselines` need, is absent or in range."""
    found = installed_version("monai")
    allowed = declared_ranges(extra="baselines").get("monai", SpecifierSet())
    install = f'pip install "{BASELINES}"'
    if not found:
        yield ok("MONAI", f"not installed; optional, only the Monai... trainers need it: {install}")
    elif allowed.contains(found, prereleases=True):
        yield ok("MONAI", found)
    else:
        yield warning("MONAI", f"{found}, but the Monai... trainers need {allowed}", install)


def declared_ranges(*, extra: str = "") -> dict[str, SpecifierSet]:
    """Return, by canonical name, the versions that both distributions allow of each package they need here.

    Extras but `extra` are left out, and so are packages for other systems or Pythons.
    """
    ranges: dict[str, SpecifierSet] = {}
    for distribution in DECLARING:
        if not installed_version(distribution):
            continue
        for line in metadata.requires(distribution) or []:
            requirement = Requirement(line)
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
    index = _index_option(installed_version("torch") or "")
    if index:
        return command + index
    return f"{command} (smaller, without a GPU: {command} --index-url {PYTORCH_INDEX}/cpu)"


def import_error(module: str) -> str | None:
    """Return why `module` cannot be imported, in one line, or None if it can."""
    try:
        importlib.import_module(module)
    except Exception as error:
        return one_line(error)
    return None


def _check_range(
    title: str, distribution: str, allowed: SpecifierSet, *, loads: bool = False
) -> Iterator[Finding]:
    """Yield one finding on whether `distribution` is there, `allowed` and, if asked, can be imported."""
    found = installed_version(distribution)
    install = f'pip install "{distribution}{allowed}"'
    if not found:
        yield problem(title, "not installed", install)
    elif not allowed.contains(found, prereleases=True):
        yield problem(title, f"{found}, but {allowed} is needed", install)
    elif loads and (error := import_error(distribution)):
        yield problem(
            title, f"{found} does not load: {error}", f"pip install --force-reinstall {distribution}=={found}"
        )
    else:
        yield ok(title, found)


def _index_option(torch_version: str) -> str:
    """Return the option of pip that names the index of this torch: `2.8.0+cpu` comes from PyTorch's `cpu`."""
    build = torch_version.partition("+")[2]
    return f" --index-url {PYTORCH_INDEX}/{build}" if build else ""
