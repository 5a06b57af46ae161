"""The two halves of a U-Net: down through the stages of an encoder, up along its skips."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from torch import Tensor

Layer = Callable[[Tensor], Tensor]
S = TypeVar("S")  # what the encoder hands to the decoder on each level


def encode(image: Tensor, stages: Iterable[Layer], pools: Any = ()) -> list[Tensor]:
    """Return the features after each stage, finest first.

    `pools[i]` leads from stage i to the next; without pools the stages downsample themselves.
    """
    levels = [image]
    for index, stage in enumerate(stages):
        pooled = pools[index - 1](levels[-1]) if index and len(pools) else levels[-1]
        levels.append(stage(pooled))
    return levels[1:]


def decode(deepest: Tensor, skips: Sequence[S], join: Callable[[int, Tensor, S], Tensor]) -> list[Tensor]:
    """Return the decoder's features, finest first.

    From the deepest skip to the finest, `join(level, features, skip)` gives the features of a level from
    those of the level below and the encoder's.
    """
    levels = [deepest]
    for level in reversed(range(len(skips))):
        levels.insert(0, join(level, levels[0], skips[level]))
    return levels[:-1]
