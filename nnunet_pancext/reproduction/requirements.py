"""What a protocol needs of its user and machine, found missing before its first hour and not after it."""

from collections.abc import Sequence

from nnunet_pancext.architectures.monai_networks import monai_networks
from nnunet_pancext.campaign.kinds.convert import Convert
from nnunet_pancext.campaign.step import Step
from nnunet_pancext.errors import PancextError
from nnunet_pancext.reproduction.campaign import missing_downloads
from nnunet_pancext.reproduction.selection import PlannedRun
from nnunet_pancext.trainers import find_trainer


def needs_extra(trainer: str) -> bool:
    """Whether a trainer's network comes from an optional package."""
    return bool(trainer) and getattr(find_trainer(trainer), "extra", None) is not None


def require_downloads(runs: Sequence[PlannedRun], unfinished: Sequence[Step]) -> None:
    """Raise PancextError where a dataset is not converted and one of its downloads is not given."""
    datasets = {run.dataset.folder: run.dataset for run in runs}
    for step in unfinished:
        if isinstance(step, Convert) and missing_downloads(step, dataset := datasets[step.dataset]):
            raise PancextError(
                f"{dataset.title}: not converted yet, and its download is not given. "
                f"Give it with --source {' '.join(f'{name}=PATH' for name in dataset.downloads)}"
            )


def require_gpu_and_extras(unfinished: Sequence[Step], *, device: str) -> None:
    """Raise PancextError where device cuda has no GPU, or a trainer's optional package is missing."""
    import torch

    if device == "cuda" and any(step.uses_gpu for step in unfinished) and not torch.cuda.is_available():
        raise PancextError(
            "PyTorch finds no GPU, and a protocol takes days on one. Run `pancext doctor` for details, "
            "--dry-run to get the commands for another machine, or --device cpu or mps to go on without."
        )
    trainers = dict.fromkeys(getattr(step, "trainer", "") for step in unfinished)
    optional = [name for name in trainers if needs_extra(name)]
    try:
        if optional:
            monai_networks()
    except PancextError as error:
        raise PancextError(
            f"{', '.join(optional)}: {error}. Or select other trainers with --trainers."
        ) from error
