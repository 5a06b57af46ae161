"""What all trainers of the package add to nnU-Net's."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from nnunet_pancext.io.progress_interval import interval_from_environment
from nnunet_pancext.losses import LossWeighting, OrdinaryWeights
from nnunet_pancext.trainers.machinery import loss_weights
from nnunet_pancext.trainers.machinery.allocator import keep_freed_memory
from nnunet_pancext.trainers.machinery.continuable import ContinuableTrainer
from nnunet_pancext.trainers.machinery.finite_loss import check_loss
from nnunet_pancext.trainers.machinery.iteration_progress import IterationProgress
from nnunet_pancext.trainers.machinery.paper_recipe import PaperRecipe
from nnunet_pancext.trainers.machinery.peak_memory import peak_memory_message
from nnunet_pancext.trainers.machinery.seeded_trainer import SeededTrainer
from nnunet_pancext.trainers.machinery.seeding import seed_from_environment
from nnunet_pancext.trainers.machinery.shared_boundary import add_isb_loss, check_labels

# A trainer class may set these; nnU-Net sets them on the instance.
HYPERPARAMETERS = (
    "initial_lr",
    "weight_decay",
    "oversample_foreground_percent",
    "probabilistic_oversampling",
    "num_iterations_per_epoch",
    "num_val_iterations_per_epoch",
    "num_epochs",
    "enable_deep_supervision",
    "save_every",
)


class PancextTrainer(ContinuableTrainer, SeededTrainer):
    """Base of the package's trainers, an extension of nnU-Net's.

    Class attributes named in `HYPERPARAMETERS` replace nnU-Net's defaults. `NetworkTrainer` trains the
    package's networks, `InjectionTrainer` nnU-Net's own with a module injected.

    Beyond nnU-Net's own trainer:
        - `loss_weighting` weights Dice and cross-entropy by the epoch (`loss_weights`);
        - `isb_weight` adds the inter-class shared boundary loss (`shared_boundary`);
        - `_PaperRecipe` trains as the paper did (`paper_recipe`);
        - each epoch ends with a checkpoint, written beside the training, whole or not at all; SIGTERM and
          SIGUSR2 end the training after it (`continuable`);
        - a loss that is not finite ends the training with a message (`finite_loss`);
        - `PANCEXT_SEED` makes a run reproducible, and exact when continued (`seeded_trainer`);
        - once a minute the console shows iterations and the remaining time (`iteration_progress`);
        - on a CPU with glibc freed memory is kept for the next step (`allocator`).
    """

    paper: ClassVar[str]  # a trainer that inherits it is an ablation; a class without it is a base
    order: ClassVar[int] = 500  # of the family in `pancext trainers`
    extra: ClassVar[str | None] = None  # of this package, which installs its network
    remark: ClassVar[str | None] = None  # printed below the table of `pancext trainers`
    attention: ClassVar[str | None] = None  # maps of its network that `pancext attention` can write
    small_options: ClassVar[dict[str, Any]] = {}  # network options for quick tests
    loss_name: ClassVar[str] = "Dice + CE"
    loss_weighting: ClassVar[type[LossWeighting] | None] = OrdinaryWeights  # None: not Dice + CE
    refuses_loss_weighting: ClassVar[str | None] = None  # why no suffix may weight Dice and CE
    isb_weight: ClassVar[float] = 0.0  # of the ISB loss, added to nnU-Net's own
    refuses_isb_loss: ClassVar[str | None] = None  # why it takes no `_ISBLoss`
    paper_recipe: ClassVar[PaperRecipe | None] = None  # of `_PaperRecipe`
    refuses_paper_recipe: ClassVar[str] = "its paper gives no recipe"  # why it takes no `_PaperRecipe`
    recipe: ClassVar[PaperRecipe | None] = None  # the one in use; None is nnU-Net's
    save_every: int

    def __init__(
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = torch.device("cuda"),  # noqa: B008 - nnU-Net reads this very signature
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        for name in HYPERPARAMETERS:
            if hasattr(type(self), name):
                setattr(self, name, getattr(type(self), name))
        if not hasattr(type(self), "save_every"):
            self.save_every = 1  # nnU-Net's 50 would lose up to 49 epochs
        self.weights: tuple[float, float] | None = None  # of Dice and CE, where not always 1 and 1
        if self.isb_weight:
            check_labels(self.label_manager, trainer=type(self).__name__)
        self.seed = seed_from_environment()
        self.iteration = 0
        self.progress_interval_s = interval_from_environment()
        self.progress: IterationProgress | None = None
        if self.device.type == "cpu":
            keep_freed_memory()
        self.check_setting()

    def check_setting(self) -> None:
        """Refuse an unsuitable dataset, or prepare attributes for it, at the end of the construction.

        `__init__` cannot be overridden with other arguments: nnU-Net reads its signature.
        """

    @staticmethod
    def prepare_prediction() -> None:
        """Set up a process that predicts; nnU-Net's prediction only asks the trainer for its network."""
        if not torch.cuda.is_available():
            keep_freed_memory()

    def configure_epoch(self, epoch: int, num_epochs: int) -> None:
        """Set what depends on the epoch (loss weights, phases); called before each one, also after `--c`.

        It must be a pure function of its arguments, so that a continued run is the same run.
        """

    def configure_optimizers(self) -> Any:
        if self.recipe is None:
            return super().configure_optimizers()
        return self.recipe.configure(self.network.parameters(), num_epochs=self.num_epochs)

    def build_loss(self) -> Any:
        """Return the loss: called with the network's output and the target, or with the lists of both."""
        return super()._build_loss()

    def _build_loss(self) -> Any:
        loss = self.build_loss()
        if not self.isb_weight:
            return loss
        return add_isb_loss(loss, self.isb_weight, self.label_manager, self.configuration_manager)

    def initialize(self) -> None:
        super().initialize()
        self.set_label_buffers()

    def set_label_buffers(self) -> None:
        """Store in the network's buffers, which checkpoints keep, what it must know about the labels."""
        for name, buffer in self.network.named_buffers():
            if name.rpartition(".")[2] == "has_regions":
                buffer.fill_(self.label_manager.has_regions)

    def on_train_start(self) -> None:
        super().on_train_start()
        self.set_label_buffers()  # again: `-pretrained_weights` may bring those of another dataset
        if self.local_rank == 0:
            self.progress = IterationProgress(
                num_epochs=self.num_epochs,
                num_iterations=self.num_iterations_per_epoch,
                num_val_iterations=self.num_val_iterations_per_epoch,
                interval_s=self.progress_interval_s,
            )

    def on_epoch_start(self) -> None:
        super().on_epoch_start()
        if self.progress is not None:
            self.progress.start_epoch(self.current_epoch)
        if self.loss_weighting is not None and self.loss_weighting is not OrdinaryWeights:
            self.weights = self.loss_weighting(num_epochs=self.num_epochs)(self.current_epoch)
            loss_weights.set_loss_weights(self.loss, *self.weights)
        self.configure_epoch(self.current_epoch, self.num_epochs)

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        self.iteration = 0
        if self.weights is not None:
            dice, ce = self.weights
            self.print_to_log_file(f"Loss weights: Dice {dice:.4f}, CE {ce:.4f}")
            loss_weights.log_columns(
                self.logger, {loss_weights.DICE: dice, loss_weights.CE: ce}, self.current_epoch
            )

    def on_epoch_end(self) -> None:
        super().on_epoch_end()
        figure = Path(self.output_folder) / "progress.png"
        if self.weights is not None and self.local_rank == 0 and figure.is_file():
            loss_weights.append_weights_panel(figure, self.logger)

    def on_train_end(self) -> None:
        if message := peak_memory_message(self.device):
            self.print_to_log_file(message)
        super().on_train_end()

    def on_validation_epoch_start(self) -> None:
        super().on_validation_epoch_start()
        self.iteration = 0

    def train_step(self, batch: dict) -> dict:
        result = self._checked("training", super().train_step(batch), batch)
        if self.progress is not None and (line := self.progress.advance()):
            print(line, flush=True)  # to the console, not to nnU-Net's log
        return result

    def validation_step(self, batch: dict) -> dict:
        return self._checked("validation", super().validation_step(batch), batch)

    def load_checkpoint(self, filename_or_checkpoint: Any) -> None:
        """Load as nnU-Net does, which asks the network for all its weights once for each of them."""
        if not self.was_initialized:
            self.initialize()
        weights = self.network.state_dict()
        self.network.__dict__["state_dict"] = lambda: weights
        try:
            super().load_checkpoint(filename_or_checkpoint)
        finally:
            del self.network.__dict__["state_dict"]

    def plot_network_architecture(self) -> None:
        """Do nothing: nnU-Net's plot needs an unmaintained package."""

    def _checked(self, step: str, result: dict, batch: dict) -> dict:
        if not np.all(np.isfinite(result["loss"])):
            self.checkpoint_writer.wait()  # the message names the last checkpoint
        check_loss(
            result["loss"],
            step=step,
            epoch=self.current_epoch,
            iteration=self.iteration,
            cases=batch["keys"],
            learning_rate=self.optimizer.param_groups[0]["lr"],
            output_folder=Path(self.output_folder),
        )
        self.iteration += 1
        return result
