import torch
from contracts.cascade_trainer import CascadeContract, made_batch

from nnunet_pancext.trainers import (
    PancreasTumorCascadeFalseNegativeTrainer,
    PancreasTumorCascadeFalsePositiveTrainer,
    PancreasTumorCascadeTransferTrainer,
)


class FurtherContract(CascadeContract):
    """The rest is `PancreasTumorCascadeTrainer`'s own."""

    left_out = ("3d_lowres", "3d_cascade_fullres", "regions and ignore")


class TestPancreasTumorCascadeFalsePositiveTrainer(FurtherContract):
    trainer = PancreasTumorCascadeFalsePositiveTrainer

    def test_it_explores_the_foreground(self, folders):
        assert explored_by(self.make("2d")) == {"foreground"}


class TestPancreasTumorCascadeFalseNegativeTrainer(FurtherContract):
    trainer = PancreasTumorCascadeFalseNegativeTrainer

    def test_it_explores_the_background(self, folders):
        assert explored_by(self.make("2d")) == {"background"}


def explored_by(trainer):
    trainer.initialize()
    return {side for module in trainer.network.stage_2.mine.refine for side in module.explore}


class TestPancreasTumorCascadeTransferTrainer(FurtherContract):
    trainer = PancreasTumorCascadeTransferTrainer

    def test_stage_2_takes_stage_1s_backbone_when_phase_i_begins_and_only_then(self, folders):
        trainer = self.make("2d", trainer=self.variant("_56epochs_1iterations"))
        trainer.initialize()
        stage_1, stage_2 = (stage.backbone for stage in (trainer.network.stage_1, trainer.network.stage_2))

        def same():
            one, other = stage_1.state_dict(), stage_2.state_dict()
            return [name for name in one if torch.equal(one[name], other[name])]

        def start(epoch):
            trainer.current_epoch = epoch
            trainer.on_epoch_start()

        start(0)
        trainer.train_step(made_batch())
        start(1)
        assert len(same()) < len(stage_1.state_dict())
        assert all(parameter in trainer.optimizer.state for parameter in stage_2.parameters())
        head = {name: value.clone() for name, value in trainer.network.stage_2.mine.state_dict().items()}
        start(2)
        assert len(same()) == len(stage_1.state_dict())
        assert not any(parameter in trainer.optimizer.state for parameter in stage_2.parameters())
        assert all(parameter in trainer.optimizer.state for parameter in stage_1.parameters())
        after = trainer.network.stage_2.mine.state_dict()
        assert all(torch.equal(after[name], value) for name, value in head.items())
        trainer.train_step(made_batch())
        for epoch in (3, 6, 55):
            start(epoch)
            assert len(same()) < len(stage_1.state_dict())

    def test_a_run_continued_where_phase_i_begins_is_the_uninterrupted_one(self, folders, monkeypatch):
        self.stopped_before = 1
        self.test_a_continued_run_is_bit_for_bit_the_uninterrupted_one(folders, monkeypatch)

    def test_without_phase_i_the_log_states_that_nothing_is_transferred(self, folders, capsys):
        self.make("2d", trainer=self.variant("_2epochs_1iterations")).run_training()
        assert "With 2 epochs there is no phase I, so no transfer." in capsys.readouterr().out
