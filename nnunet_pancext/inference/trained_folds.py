"""The folds of a trained configuration, loaded once for many images."""

import copy
import io
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from nnunetv2.configuration import default_num_processes
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from torch import nn

from nnunet_pancext.checkpoints.checkpoint import read_checkpoint
from nnunet_pancext.checkpoints.trained_network import initialize_predictor
from nnunet_pancext.errors import PancextError
from nnunet_pancext.nnunet_files.dataset_json import NAME, DatasetJson, read_dataset_json


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


class TrainedFolds:
    """One network for each fold of a configuration, on one device, in the order of `folds`.

    Attributes:
        networks: one for each fold, in evaluation mode.
        mirroring_axes: spatial axes of the network along which nnU-Net mirrors; empty without mirroring.
        on_window: called after each window with the number of its forward passes.

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
        self.folder, self.folds, self.device = folder, tuple(folds), device
        self.files = [folder / f"fold_{fold}" / checkpoint for fold in folds]
        self.dataset: DatasetJson = read_dataset_json(folder / NAME, remedy="Copy the model again.")
        self.predictor: Any = CountingPredictor(device=device, use_mirroring=use_mirroring)
        initialize_predictor(self.predictor, folder, self.files[0], allow=allow)
        first: nn.Module = self.predictor.network
        self.networks = [first]
        for file in self.files[1:]:
            ...  # the fold's checkpoint must be of the same trainer, configuration and shapes
            network = copy.deepcopy(first)
            network.load_state_dict(read_checkpoint(file).weights)
            self.networks.append(network)
        for network in self.networks:
            network.to(device).eval()
        axes = self.predictor.allowed_mirroring_axes if use_mirroring else None
        self.mirroring_axes: tuple[int, ...] = tuple(axes or ())
        self.plans, self.configuration = self.predictor.plans_manager, self.predictor.configuration_manager
        self.labels = self.predictor.label_manager

    @property
    def patch_size(self) -> tuple[int, ...]:
        """Voxels of a window along each spatial axis: two in 2D, three in 3D."""
        return tuple(self.configuration.patch_size)

    @property
    def forwards_per_window(self) -> int:
        """Forward passes of a window in nnU-Net's own prediction: mirrorings by folds."""
        return 2 ** len(self.mirroring_axes) * len(self.networks)

    @torch.inference_mode()
    def logits_of_window(self, window: torch.Tensor, *, fold: int, axes: Sequence[int]) -> torch.Tensor:
        """Return the logits (heads, *patch) of a window (1, channels, *patch), averaged over mirrorings."""
        predictor = self.predictor
        predictor.network = self.networks[fold]
        allowed = predictor.allowed_mirroring_axes
        predictor.allowed_mirroring_axes = tuple(axes) or None
        is_gpu = self.device.type == "cuda"
        try:
            with torch.autocast("cuda") if is_gpu else nullcontext():
                return predictor._internal_maybe_mirror_and_predict(window.to(self.device))[0]
        finally:
            predictor.allowed_mirroring_axes = allowed


def limit_threads() -> int:
    """Use as few threads as nnU-Net does to predict, and return the former number."""
    threads = torch.get_num_threads()
    torch.set_num_threads(min(default_num_processes, threads))
    return threads
