"""The folds of a trained configuration, loaded once for many images."""

import copy
import io
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from nnunetv2.configuration import default_num_processes
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from torch import nn

from nnunet_pancext.checkpoints.checkpoint import Checkpoint, read_checkpoint
from nnunet_pancext.checkpoints.trained_network import (
    find_installed_trainer,
    initialize_predictor,
    network_problems,
)
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import printable
from nnunet_pancext.nnunet_files.dataset_json import NAME, DatasetJson
from nnunet_pancext.nnunet_files.trained_files import require_trained_model
from nnunet_pancext.trainers.machinery.plan_setting import Sizes


class CountingPredictor(nnUNetPredictor):
    """nnU-Net's predictor, which reports each window after its forward passes."""

    def __init__(self, *, device: torch.device, use_mirroring: bool) -> None:
        with redirect_stdout(io.StringIO()):  # what it cannot keep on a CPU
            super().__init__(use_mirroring=use_mirroring, device=device, allow_tqdm=False)
        self.on_window: Callable[[int], None] = lambda forwards: None

    @torch.inference_mode()
    def _internal_maybe_mirror_and_predict(self, x: torch.Tensor) -> torch.Tensor:
        prediction = super()._internal_maybe_mirror_and_predict(x)
        axes = self.allowed_mirroring_axes if self.use_mirroring else None
        self.on_window(2 ** len(axes or ()))
        return prediction


class LoadedFolds:
    """Networks of one configuration, one for each fold, with the predictor that knows plan and dataset.

    Args:
        predictor: initialized with the plan, the dataset and the axes of mirroring.
        networks: one for each fold; they are moved to the predictor's device, in evaluation mode.

    Attributes:
        mirroring_axes: spatial axes of the network along which nnU-Net mirrors; empty without mirroring.
        plans, configuration, labels: nnU-Net's managers.
    """

    def __init__(self, predictor: CountingPredictor, networks: Sequence[nn.Module]) -> None:
        self.predictor: Any = predictor
        self.device: torch.device = predictor.device
        self.networks = [network.to(self.device).eval() for network in networks]
        axes = predictor.allowed_mirroring_axes if predictor.use_mirroring else None
        self.mirroring_axes: tuple[int, ...] = tuple(axes or ())
        self.plans, self.configuration = self.predictor.plans_manager, self.predictor.configuration_manager
        self.labels = self.predictor.label_manager
        self.dataset = DatasetJson(Path(NAME), self.predictor.dataset_json)

    @property
    def patch_size(self) -> tuple[int, ...]:
        """Voxels of a window along each spatial axis: two in 2D, three in 3D."""
        return tuple(self.configuration.patch_size)

    @property
    def forwards_per_window(self) -> int:
        """Forward passes of a window in nnU-Net's own prediction: mirrorings by folds."""
        return 2 ** len(self.mirroring_axes) * len(self.networks)

    @torch.inference_mode()
    def logits_of_window(
        self,
        window: torch.Tensor,
        *,
        fold: int,
        axes: Sequence[int],
        only_mirrored: bool = False,
        half: torch.dtype = torch.float16,
    ) -> torch.Tensor:
        """Return the logits (heads, *patch) of a window (1, channels, *patch), averaged over mirrorings.

        Args:
            window: on any device.
            fold: the index of a network.
            axes: spatial axes to mirror along.
            only_mirrored: average the mirrored views alone, without the window as it is.
            half: the type of convolutions: float16 is nnU-Net's on a GPU, and single precision on a CPU.
                With bfloat16, mirrorings are averaged in single precision.
        """
        predictor = self.predictor
        network = self.networks[fold]
        allowed = predictor.allowed_mirroring_axes
        is_gpu = self.device.type == "cuda"
        predictor.network = _InBfloat16(network, self.device.type) if half == torch.bfloat16 else network
        predictor.allowed_mirroring_axes = tuple(axes) or None
        try:
            with torch.autocast("cuda") if is_gpu and half == torch.float16 else nullcontext():
                if only_mirrored:
                    logits = _mean_of_mirrored(predictor.network, window.to(self.device), axes)
                    predictor.on_window(2 ** len(axes) - 1)
                    return logits[0]
                return predictor._internal_maybe_mirror_and_predict(window.to(self.device))[0]
        finally:
            predictor.allowed_mirroring_axes, predictor.network = allowed, network


class TrainedFolds(LoadedFolds):
    """The folds of a folder that `nnUNetv2_train` wrote, in the order of `folds`, on one device.

    Args:
        folder: the model, TRAINER__PLANS__CONFIGURATION.
        folds: numbers of folds, or `all`.
        checkpoint: the name of a file in each fold's folder.
        device: where the networks run.
        use_mirroring: whether to mirror along the axes that the training allows.
        allow: names in plans.json that the user trusts.

    Raises:
        UnsafeFile: a file is damaged, or holds or names code.
        PancextError: a fold is missing, its trainer is not installed, or the folds do not belong together.
    """

    def __init__(
        self,
        folder: Path,
        folds: Sequence[str],
        *,
        checkpoint: str,
        device: torch.device,
        use_mirroring: bool = True,
        allow: Collection[str] = (),
    ) -> None:
        self.folder, self.folds = folder, tuple(folds)
        if not folds:
            raise PancextError(f"No fold of {folder} is given. Choose with -f.")
        self.files = [folder / f"fold_{fold}" / checkpoint for fold in folds]
        dataset = require_trained_model(folder, self.files, remedy="Choose with -f and -chk.")
        predictor: Any = CountingPredictor(device=device, use_mirroring=use_mirroring)
        first = initialize_predictor(predictor, folder, self.files[0], allow=allow)
        networks = [predictor.network]
        for file in self.files[1:]:
            other = read_checkpoint(file)
            _require_same_model(other, first, predictor)
            network = copy.deepcopy(networks[0])
            network.load_state_dict(other.weights)
            networks.append(network)
        predictor.list_of_parameters = []  # the networks hold them
        super().__init__(predictor, networks)
        self.dataset = dataset


class _InBfloat16(nn.Module):
    """A network whose convolutions run in bfloat16, and whose logits are in single precision."""

    def __init__(self, network: nn.Module, device_type: str) -> None:
        super().__init__()
        self.network, self.device_type = network, device_type

    def forward(self, window: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self.device_type, dtype=torch.bfloat16):
            logits = self.network(window)
        return logits.float()


def _mean_of_mirrored(network: nn.Module, window: torch.Tensor, axes: Sequence[int]) -> torch.Tensor:
    """Return the mean of all mirrorings' logits but the unmirrored one's, in nnU-Net's order."""
    mirrorings = [
        [axis + 2 for axis in mirrored]
        for number in range(1, len(axes) + 1)
        for mirrored in combinations(axes, number)
    ]
    total = torch.flip(network(torch.flip(window, mirrorings[0])), mirrorings[0])
    for dims in mirrorings[1:]:
        total += torch.flip(network(torch.flip(window, dims)), dims)
    return total / len(mirrorings)


@contextmanager
def threads_of_nnunet() -> Iterator[None]:
    """Use as few threads as nnU-Net does to predict."""
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, min(default_num_processes, threads)))
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _require_same_model(other: Checkpoint, first: Checkpoint, predictor: Any) -> None:
    for what, found, expected in (
        ("trainer", other.trainer, first.trainer),
        ("configuration", other.configuration, first.configuration),
    ):
        if found != expected:
            raise PancextError(
                f"{other.path} has the {what} {printable(found)}, but {first.path} has "
                f"{printable(expected)}. The folds of a model have the same. Copy the model again, or "
                "choose its folds with -f."
            )
    plans, configuration = predictor.plans_manager, predictor.configuration_manager
    sizes = Sizes(
        plans,
        configuration,
        determine_num_input_channels(plans, configuration, predictor.dataset_json),
        predictor.label_manager.num_segmentation_heads,
    )
    if problems := network_problems(other, find_installed_trainer(other.trainer), sizes):
        raise PancextError(
            f"{other.path} does not fit its plan: {'; '.join(problems)}. Copy the model again."
        )
