"""The modules that the networks consist of; each can be imported from here by its name."""

from typing import Any

from nnunet_pancext.former_names import former_name
from nnunet_pancext.modules import import_modules


def __getattr__(name: str) -> Any:
    for module in () if name.startswith("_") else import_modules(__name__, __path__):
        member = getattr(module, name, None)
        if getattr(member, "__module__", None) == module.__name__:
            return member
    return former_name(__name__, name)
