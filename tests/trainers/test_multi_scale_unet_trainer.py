from contracts.trainer import TrainerContract

from nnunet_pancext.trainers import MultiScaleUNetTrainer


class TestMultiScaleUNetTrainer(TrainerContract):
    trainer = MultiScaleUNetTrainer
