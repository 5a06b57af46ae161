"""From the logits of the pancreatic-tumour network's two stages to log-probabilities of all classes."""

import torch
from torch import Tensor
from torch.nn import functional

from nnunet_pancext.architectures.windows import Windows

LOGIT_BOUND = 15.0  # of both stages' logits: a probability of 3e-7
# In prediction, the bound outside the windows, where the lesion has the lowest logit. nnU-Net averages
# log-probabilities over flips, patches and folds. With 15, a view in which stage 1 finds no organ outvotes
# others that give the lesion 0.9 once it has 13 % of the weight; with 7 (probability 0.0009) it takes 24 %.
# With one bound for both stages such a view never makes the lesion more probable than the organ.
UNSEEN_LOGIT_BOUND = 7.0
# Of further classes, which the network never predicts: below any average of the others.
ABSENT_LOG_PROBABILITY = -60.0


def compose_log_probabilities(
    organ_logits: Tensor,
    lesion_logits: Tensor | None,
    windows: Windows | None,
    *,
    roles: Tensor,
    num_classes: int,
    training: bool,
) -> Tensor:
    """Return log-probabilities (B, num_classes, *spatial).

    With p1 and p2 the sigmoids of the bounded logits, p2 = 0 outside the windows, background has
    (1 - p2)(1 - p1), the organ (1 - p2) p1 and the lesion p2. With two classes, p2 counts in the windows and
    p1 elsewhere.

    Shapes: organ_logits of stage 1, (B, 1, *spatial); lesion_logits of stage 2, (n, 1, *window), ignored
    without windows; `roles` are the labels of organ and lesion. In training `LOGIT_BOUND` holds everywhere,
    not only in the windows.
    """
    organ = organ_logits.float()
    bound = torch.full_like(organ, LOGIT_BOUND if training else UNSEEN_LOGIT_BOUND)
    lesion = organ if num_classes == 2 else -bound
    if windows is not None and lesion_logits is not None:
        seen = lesion_logits.float()
        bound = windows.paste(torch.full_like(seen, LOGIT_BOUND), onto=bound)
        lesion = windows.paste(seen, onto=lesion)
    organ, lesion = (torch.clamp(logits, -bound, bound) for logits in (organ, lesion))
    no_lesion = functional.logsigmoid(-lesion)
    if num_classes == 2:
        return torch.cat([no_lesion, functional.logsigmoid(lesion)], dim=1)
    predicted = [
        no_lesion + functional.logsigmoid(-organ),
        no_lesion + functional.logsigmoid(organ),
        functional.logsigmoid(lesion),
    ]
    labels = functional.pad(roles, (1, 0))  # background, organ, lesion
    absent = organ.new_full((len(organ), num_classes, *organ.shape[2:]), ABSENT_LOG_PROBABILITY)
    return absent.index_copy(1, labels, torch.cat(predicted, dim=1))
