"""BatchNorm over each GPU's own batch, for modules that not every GPU runs in every step."""

from __future__ import annotations

from typing import Any

from torch import nn

from nnunet_pancext.architectures.dims import normalisation


def revert_sync_batchnorm(part: nn.Module, *, spatial_dims: int) -> None:
    """Turn each SyncBatchNorm in `part` back into BatchNorm, with the same parameters and buffers.

    SyncBatchNorm waits for all GPUs. If one of them skips the part, the others would wait for ever, or use
    the statistics of another layer. Parameters and buffers stay the same objects, because the optimiser and
    DistributedDataParallel already hold them.
    """
    for module in list(part.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.SyncBatchNorm):
                setattr(module, name, _local(child, spatial_dims))


def _local(layer: nn.SyncBatchNorm, spatial_dims: int) -> nn.Module:
    local: Any = normalisation("batch", spatial_dims=spatial_dims, channels=layer.num_features)
    local.eps, local.momentum = layer.eps, layer.momentum
    local.weight, local.bias = layer.weight, layer.bias
    local.running_mean, local.running_var = layer.running_mean, layer.running_var
    local.num_batches_tracked = layer.num_batches_tracked
    local.training = layer.training
    return local
