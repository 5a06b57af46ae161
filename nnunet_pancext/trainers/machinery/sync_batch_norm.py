"""BatchNorm over each GPU's own batch, for modules that not every GPU runs in every step."""

from __future__ import annotations

from torch import nn

from nnunet_pancext.architectures.dims import BATCH_NORM


def revert_sync_batchnorm(part: nn.Module, *, spatial_dims: int) -> None:
    """Turn each SyncBatchNorm in `part` back into BatchNorm, with the same parameters and buffers.

    SyncBatchNorm waits for all GPUs. If one of them skips the part, the others would wait for ever, or use
    the statistics of another layer. The layers stay the same objects, because the optimiser and
    DistributedDataParallel already hold their parameters.
    """
    for layer in part.modules():
        if isinstance(layer, nn.SyncBatchNorm):
            layer.__class__ = BATCH_NORM[spatial_dims]
