"""Trainings that a kill costs at most an epoch, and that signals stop cleanly."""

import io
from pathlib import Path

from nnunet_pancext.io.files import PARTIAL_PREFIX
from nnunet_pancext.trainers.machinery.checkpoint_writer import CheckpointWriter
from nnunet_pancext.trainers.machinery.nnunet import nnUNetTrainer
from nnunet_pancext.trainers.machinery.process_end import bind_children, ended_by_signals
from nnunet_pancext.trainers.machinery.seeded_trainer import SeededTrainer
from nnunet_pancext.trainers.machinery.seeding import seed_from_environment

LATEST = "checkpoint_latest.pth"


class ContinuableTrainer(nnUNetTrainer):
    """Writes checkpoints whole or not at all, those of an epoch's end beside the training.

    It precedes another trainer among the bases of a class. SIGTERM and SIGUSR2 end the training once its
    checkpoints are written, and its child processes end with it.

    checkpoint_latest.pth is written after checkpoint_best.pth of the same epoch, and knows of it: a continued
    run chooses the same best epoch as one that was not interrupted.
    """

    _writer: CheckpointWriter | None = None
    _is_epoch_ending = False
    _is_latest_due = False
    _content: memoryview | None = None  # the checkpoint of the epoch that ends

    @property
    def checkpoint_writer(self) -> CheckpointWriter:
        """The background thread's queue."""
        if self._writer is None:
            self._writer = CheckpointWriter()
        return self._writer

    def run_training(self) -> None:
        bind_children()
        if self.local_rank == 0:
            for partial in Path(self.output_folder).glob(f"{PARTIAL_PREFIX}checkpoint_*.pth"):
                partial.unlink()  # of a killed run
        with ended_by_signals(self.checkpoint_writer.wait):
            try:
                super().run_training()
            finally:
                self.checkpoint_writer.wait()

    def train_step(self, batch: dict) -> dict:
        self.checkpoint_writer.check()
        return super().train_step(batch)

    def on_epoch_end(self) -> None:
        self._is_epoch_ending, self._is_latest_due, self._content = True, False, None
        try:
            super().on_epoch_end()
        finally:
            self._is_epoch_ending = False
        if self._is_latest_due:
            self.current_epoch -= 1  # nnU-Net counts the epoch after it has saved
            self._submit(Path(self.output_folder) / LATEST, self._content or self._serialise())
            self.current_epoch += 1
        self._content = None

    def save_checkpoint(self, filename: str) -> None:
        target = Path(filename)
        if self._is_epoch_ending and target.name == LATEST:
            self._is_latest_due = True
            return
        content = self._serialise()
        self._submit(target, content)
        if self._is_epoch_ending:
            self._content = content
        else:
            self.checkpoint_writer.flush()

    def _serialise(self) -> memoryview:
        """Return the present checkpoint; empty with --disable_checkpointing and on all GPUs but the first."""
        buffer = io.BytesIO()
        super().save_checkpoint(buffer)  # which nnU-Net only passes on to torch.save
        return buffer.getbuffer()

    def _submit(self, target: Path, content: memoryview) -> None:
        if content:
            self.checkpoint_writer.submit(target, content)


def make_continuable(trainer: nnUNetTrainer) -> None:
    """Give a trainer of another package what `PancextTrainer` has of this, under its own name.

    It saves after each epoch, and is seeded where `PANCEXT_SEED` is set.
    """
    kind = type(trainer)
    bases = (ContinuableTrainer, SeededTrainer, kind)
    trainer.__class__ = type(kind.__name__, bases, {"__module__": kind.__module__})
    trainer.save_every = 1
    trainer.seed = seed_from_environment()
