"""All checks in the order of the report, prerequisites first."""

from nnunet_pancext.doctor.check import Check
from nnunet_pancext.doctor.discovery import ANNOUNCEMENT, check_discovery
from nnunet_pancext.doctor.folders import check_folders
from nnunet_pancext.doctor.hardware import check_gpu, check_memory
from nnunet_pancext.doctor.settings import PROGRESS, SEED, check_progress_interval, check_seed, check_workers
from nnunet_pancext.doctor.versions import check_baselines, check_packages, check_python

CHECKS = (
    Check("Python", check_python),
    Check("packages", check_packages),
    Check("MONAI", check_baselines),
    Check("folders", check_folders),
    Check("GPU", check_gpu),
    Check("memory", check_memory),
    Check("processes", check_workers),
    Check(SEED, check_seed),
    Check(PROGRESS, check_progress_interval),
    Check("trainer lookup", check_discovery, announcement=ANNOUNCEMENT),
)
