"""All checks in the order of the report, prerequisites first."""

from nnunet_pancext.doctor.check import Check
from nnunet_pancext.doctor.discovery import ANNOUNCEMENT, check_discovery
from nnunet_pancext.doctor.folders import check_folders
from nnunet_pancext.doctor.hardware import check_gpu, check_memory
from nnunet_pancext.doctor.settings import PROGRESS, SEED, check_progress_interval, check_seed, check_workers
from nnunet_pancext.doctor.versions import PACKAGE_CHECKS, check_python

CHECKS = (
    Check("Python", check_python),
    *(Check(title, check) for title, check in PACKAGE_CHECKS.items()),
    Check("folders", check_folders),
    Check("GPU", check_gpu),
    Check("memory", check_memory),
    Check("processes", check_workers),
    Check(SEED, check_seed),
    Check(PROGRESS, check_progress_interval),
    Check("trainer lookup", check_discovery, announcement=ANNOUNCEMENT),
)
