"""Are the installed packages in the ranges that nnunet_pancext and nnU-Net declare, and do they load?"""

import importlib
import platform
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from nnunet_pancext.doctor.check import Diagnosis, ok, one_line, problem, warning

PLUGIN, NNUNET, TORCH, TORCHVISION = "nnunet-pancext", "nnunetv2", "torch", "torchvision"
TITLES = {PLUGIN: "nnunet_pancext", NNUNET: "nnU-Net", TORCH: TORCH, TORCHVISION: TORCHVISION}
# What is lost without a package.
LOST = {
    PLUGIN: "; without installation, stock nnU-Net commands cannot find the trainers",
    TORCHVISION: "; nnU-Net fails without it when it looks up a trainer",
}
SLOW_TORCH = SpecifierSet("==2.9.*")
PYTORCH_INDEX = "https://download.pytorch.org/whl"


def check_python() -> Iterator[Diagnosis]:
    """Python is a version that both packages support."""
    version, supported = platform.python_version(), SpecifierSet()
    for distribution in filter(installed_version, (PLUGIN, NNUNET)):
        declared = metadata.metadata(distribution)
        if "Requires-Python" in declared:
            supported &= SpecifierSet(declared["Requires-Python"])
    if supported.contains(version, prereleases=True):
        yield ok("Python", version)
    else:
        yield problem("Python", version, f"Create an environment with Python {supported}.")


def check_packages() -> Iterator[Diagnosis]:
    """One line for each of the main packages, one for all others that are as declared."""
    for distribution in TITLES:
        yield check_package(distribution)
    others = sorted(set(declared_ranges()) - set(TITLES))
    wrong = [diagnosis for diagnosis in map(check_package, others) if diagnosis.remedy]
    yield from wrong
    if len(wrong) < len(others):
        yield ok("other packages", f"{len(others) - len(wrong)} of {len(others)} as declared")


def check_package(distribution: str) -> Diagnosis:
    """Check that a distribution is installed, in the declared range and, torch and torchvision, loads."""
    title, version = TITLES.get(distribution, distribution), installed_version(distribution)
    allowed = declared_ranges().get(distribution, SpecifierSet())
    install = f'pip install "{distribution}{allowed}"'
    if distribution == PLUGIN:
        install = "In its source folder: pip install ."
    elif distribution in (TORCH, TORCHVISION):
        install = f"Install both from the same index: {torchvision_command()}"
    if not version:
        return problem(title, f"not installed{LOST.get(distribution, '')}", install)
    if not allowed.contains(version, prereleases=True):
        slow = distribution == TORCH and SLOW_TORCH.contains(version, prereleases=True)
        reason = ": 3D convolutions take about four times as long under AMP" if slow else ""
        return problem(title, f"{version}, but {allowed} is needed{reason}", install)
    if distribution in (TORCH, TORCHVISION) and (error := import_error(distribution)):
        remedy = f"nnU-Net cannot look up trainers. First pip uninstall -y torch torchvision. {install}"
        return problem(title, f"{version} does not load: {error}", remedy)
    return ok(title, version)


def check_baselines() -> Iterator[Diagnosis]:
    """MONAI, which only the trainers of the extra `baselines` need, is absent or in range."""
    version, install = installed_version("monai"), f'pip install "{PLUGIN}[baselines]"'
    allowed = declared_ranges(extra="baselines").get("monai", SpecifierSet())
    if not version:
        yield ok("MONAI", f"not installed; optional, only the Monai... trainers need it: {install}")
    elif allowed.contains(version, prereleases=True):
        yield ok("MONAI", version)
    else:
        yield warning("MONAI", f"{version}, but the Monai... trainers need {allowed}", install)


def declared_ranges(*, extra: str = "") -> dict[str, SpecifierSet]:
    """Return by canonical name the versions that both packages, with an `extra`, allow on this system."""
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
    """Return pip's command for torch and torchvision: torch `2.8.0+cpu` comes from PyTorch's index `cpu`."""
    command = f'pip install "torch{declared_ranges().get(TORCH, "")}" torchvision'
    build = (installed_version(TORCH) or "").partition("+")[2]
    if build:
        return f"{command} --index-url {PYTORCH_INDEX}/{build}"
    return f"{command} (smaller, without a GPU: {command} --index-url {PYTORCH_INDEX}/cpu)"


def import_error(module: str) -> str | None:
    """Return why `module` cannot be imported, in one line, or None if it can."""
    try:
        importlib.import_module(module)
    except Exception as error:
        return one_line(error)
    return None
