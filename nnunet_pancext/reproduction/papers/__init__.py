"""The papers of this folder's modules: figures, protocols, and what they leave open."""

from nnunet_pancext.errors import PancextError
from nnunet_pancext.modules import import_modules
from nnunet_pancext.reproduction.protocol import Paper

# A module's ORDER, 500 by default, places its papers in lists.
_MODULES = sorted(import_modules(__name__, __path__), key=lambda module: getattr(module, "ORDER", 500))
PAPERS = {
    paper.name: paper for module in _MODULES for paper in vars(module).values() if isinstance(paper, Paper)
}


def find_paper(name: str) -> Paper:
    """Return the paper of that name; PancextError, with all names, if there is none."""
    if name not in PAPERS:
        raise PancextError(f"There is no paper {name!r}. There are: {', '.join(PAPERS)}.")
    return PAPERS[name]
