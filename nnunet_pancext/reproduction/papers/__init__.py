"""The five papers: figures, protocols, and what they leave open."""

from __future__ import annotations

from nnunet_pancext.errors import PancextError
from nnunet_pancext.reproduction.papers.attention_unet import ATTENTION_UNET
from nnunet_pancext.reproduction.papers.cdi_nstseg import CDI_NSTSEG
from nnunet_pancext.reproduction.papers.dlkunet import DLKUNET
from nnunet_pancext.reproduction.papers.pancreas_tumor_cascade import PANCREAS_TUMOR_CASCADE
from nnunet_pancext.reproduction.papers.segresnet_nl import SEGRESNET_NL
from nnunet_pancext.reproduction.protocol import Paper

PAPERS = {
    paper.name: paper for paper in (SEGRESNET_NL, PANCREAS_TUMOR_CASCADE, DLKUNET, ATTENTION_UNET, CDI_NSTSEG)
}


def find_paper(name: str) -> Paper:
    """Return the paper of that name; PancextError with all names where there is none."""
    if name not in PAPERS:
        raise PancextError(f"no paper {name!r}. There are: {', '.join(PAPERS)}.")
    return PAPERS[name]
