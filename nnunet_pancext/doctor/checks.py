"""All checks in the order of the report, prerequisites first."""

from nnunet_pancext.doctor import discovery, machine, settings, versions
from nnunet_pancext.doctor.check import Check

CHECKS = (
    Check("Python", versions.check_python),
    Check("packages", versions.check_packages),
    Check("MONAI", versions.check_baselines),
    Check("folders", machine.check_folders),
    Check("GPU", machine.check_gpu),
    Check("memory", machine.check_memory),
    Check("processes", settings.check_workers),
    Check(settings.SEED, settings.check_seed),
    Check(settings.PROGRESS, settings.check_progress_interval),
    Check("trainer lookup", discovery.check_discovery, announcement=discovery.ANNOUNCEMENT),
)
