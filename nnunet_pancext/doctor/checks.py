"""All checks in the order of the report: what others build on comes first."""

from nnunet_pancext.doctor.check import Check
from nnunet_pancext.doctor.discovery import ANNOUNCEMENT, check_discovery
from nnunet_pancext.doctor.folders import check_folders
from nnunet_pancext.doctor.hardware import check_gpu, check_memory
from nnunet_pancext.doctor.settings import PROGRESS, SEED, check_progress_interval, check_seed
from nnunet_pancext.doctor.versions import (
    check_baselines,
    check_nnunet,
    check_other_packages,
    check_plugin,
    check_python,
    check_torch,
    check_torchvision,
)
from nnunet_pancext.doctor.workers import check_workers

CHECKS = (
    Check("Python", check_python),
    Check("nnunet_pancext", check_plugin),
    Check("nnU-Net", check_nnunet),
    Check("torch", check_torch),
    Check("torchvision", check_torchvision),
    Check("other packages", check_other_packages),
    Check("MONAI", check_baselines),
    Check("folders", check_folders),
    Check("GPU", check_gpu),
    Check("memory", check_memory),
    Check("processes", check_workers),
    Check(SEED, check_seed),
    Check(PROGRESS, check_progress_interval),
    Check("trainer lookup", check_discovery, announcement=ANNOUNCEMENT),
)
