"""The papers of this folder's modules: figures, protocols, and what they leave open."""

from nnunet_pancext.errors import PancextError
from nnunet_pancext.modules import import_modules
from nnunet_pancext.reproduction.protocol import Paper


def _papers() -> dict[str, Paper]:
    """Return the papers by name; a module's ORDER, 500 by default, places its papers in lists."""
    modules = sorted(import_modules(__name__, __path__), key=lambda module: getattr(module, "ORDER", 500))
    values = [value for module in modules for value in vars(module).values()]
    return {value.name: value for value in values if isinstance(value, Paper)}


PAPERS = _papers()


def find_paper(name: str) -> Paper:
    """Return the paper of that name; PancextError, with all names, if there is none."""
    if name not in PAPERS:
        raise PancextError(f"There is no paper {name!r}. There are: {', '.join(PAPERS)}.")
    return PAPERS[name]
