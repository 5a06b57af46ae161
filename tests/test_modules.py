"""Classes that a module defines."""

import numbers
from types import ModuleType

from nnunet_pancext.modules import classes_of

SOURCE = """
from numbers import Number
class Special(Number): ...
class Another(Number): ...
class Other: ...
Table = dict[str, int]  # a class to Python 3.10
"""


def test_classes_of_a_module_are_those_that_it_defines():
    module = ModuleType("papers")
    exec(SOURCE, vars(module))
    assert list(classes_of(module, numbers.Number)) == ["Special", "Another"]
